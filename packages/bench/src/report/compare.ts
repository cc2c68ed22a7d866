import type { Ratio } from '../measure/ratio.ts'
import type { Row } from '../suites/contract.ts'
import type { Report } from './json.ts'

export type Verdict = 'same' | 'better' | 'worse' | 'new' | 'missing'

/** One ratio, or count of what should not be, in two runs. */
export interface Comparison {
  suite: string
  name: string
  /** Means of the ratios, or the counts; undefined in a run that has none. */
  recorded: number | undefined
  now: number | undefined
  /** How many times as bad as recorded a ratio may be before it counts: by chance, and by the tolerance. None for a count. */
  bound: number | undefined
  verdict: Verdict
}

/**
 * Compares the ratios of two runs, and never their times, which are the machines'. A ratio is worse where it has moved, in the bad direction, by more
 * than noise and tolerance together. Noise is what two runs of the same may be apart by chance: each has a 95 % interval of its mean, and
 * the half widths of both, as logarithms, are added like independent errors (the root of the sum of their squares). The tolerance is for
 * what no run's own spread tells: another machine, another kernel. Counts, as of clones that missed the pool, may be apart like those of rare events:
 * by two standard deviations (of one more than was recorded: none is not never).
 *
 * Suites that did not run now do not matter; a row that is gone from one that did is missing.
 *
 * @param tolerance a share, such as 0.1 for a tenth
 * @throws Error for runs that can't be compared: one was quick, or they used different drivers; or there is nothing to compare
 */
export function compareReports(recorded: Report, now: Report, tolerance: number): Comparison[] {
  if (recorded.quick !== now.quick) throw new Error('a quick run can only be compared with a quick one')
  if (recorded.driver !== now.driver) {
    throw new Error(`a run on ${now.driver} can't be compared with one on ${recorded.driver}`)
  }
  const compared = now.suites.flatMap((suite) => {
    const before = recorded.suites.find(({ name }) => name === suite.name)?.rows.filter(isCompared) ?? []
    const after = suite.rows.filter(isCompared)
    const names = new Set([...before, ...after].map(({ name }) => name))
    return [...names].map((name) => ({
      suite: suite.name,
      name,
      ...compareRows(byName(before, name), byName(after, name), tolerance),
    }))
  })
  if (compared.length === 0) throw new Error('the run has no ratio that could be compared')
  return compared
}

/** Whether the comparison fails. */
export function isRegression({ verdict }: Comparison): boolean {
  return verdict === 'worse' || verdict === 'missing'
}

function compareRows(
  before: Row | undefined,
  after: Row | undefined,
  tolerance: number,
): Omit<Comparison, 'suite' | 'name'> {
  const recorded = before && comparedValue(before)
  const now = after && comparedValue(after)
  if (recorded === undefined || now === undefined) {
    return { recorded, now, bound: undefined, verdict: before ? 'missing' : 'new' }
  }
  if (!before?.ratio || !after?.ratio) {
    return { recorded, now, bound: undefined, verdict: verdictOf(now - recorded, 2 * Math.sqrt(recorded + 1)) }
  }
  const noise = Math.hypot(halfWidth(before.ratio), halfWidth(after.ratio))
  const bound = noise + Math.log1p(tolerance)
  const moved = Math.log(now / recorded) * (after.better === 'lower' ? 1 : -1)
  return { recorded, now, bound: Math.exp(bound), verdict: verdictOf(moved, bound) }
}

function comparedValue({ ratio, figures }: Row): number {
  return ratio?.mean ?? figures.p50
}

function verdictOf(moved: number, bound: number): Verdict {
  if (moved > bound) return 'worse'
  return moved < -bound ? 'better' : 'same'
}

function halfWidth({ high, mean }: Ratio): number {
  return Math.log(high / mean)
}

function isCompared({ ratio, unit }: Row): boolean {
  return ratio !== undefined || unit === 'count'
}

function byName(rows: readonly Row[], name: string): Row | undefined {
  return rows.find((row) => row.name === name)
}

/** A Markdown table. */
export function comparisonTable(comparisons: readonly Comparison[]): string {
  const number = (value: number | undefined) => value?.toFixed(2) ?? ''
  const lines = comparisons.map(
    ({ suite, name, recorded, now, bound, verdict }) =>
      `| ${suite} | ${name} | ${number(recorded)} | ${number(now)} | ${number(bound)} | ${verdict} |`,
  )
  return `| suite | | recorded | now | may differ by a factor of | |
| --- | --- | ---: | ---: | ---: | --- |
${lines.join('\n')}
`
}
