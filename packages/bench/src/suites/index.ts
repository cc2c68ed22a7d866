import { burst } from './burst.ts'
import { cold } from './cold.ts'
import type { Suite } from './contract.ts'
import { databases } from './databases.ts'
import { disk } from './disk.ts'
import { idle } from './idle.ts'
import { pgbench } from './pgbench.ts'
import { reset } from './reset.ts'
import { tools } from './tools.ts'
import { warm } from './warm.ts'

/** In the order in which they run. */
export const SUITES: readonly Suite[] = [cold, warm, reset, burst, idle, disk, pgbench, databases, tools]

/** What runs where none is named. */
const USUAL = ['cold', 'warm', 'reset', 'burst']

/**
 * @param names of suites, or `all`; none for the usual ones
 * @throws RangeError for a name that is none
 */
export function chooseSuites(names: readonly string[]): Suite[] {
  if (names.includes('all')) return [...SUITES]
  const wanted = names.length === 0 ? USUAL : names
  const unknown = wanted.find((name) => !SUITES.some((suite) => suite.name === name))
  if (unknown !== undefined) {
    throw new RangeError(
      `there is no suite ${unknown}; there are ${SUITES.map(({ name }) => name).join(', ')}, and all`,
    )
  }
  return SUITES.filter(({ name }) => wanted.includes(name))
}
