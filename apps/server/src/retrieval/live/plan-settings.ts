import { PLAN_SETTINGS } from '@dblab/provision'
import type { Client } from 'pg'
import type { Reporter } from '../source.ts'

/** What of a server's settings decides which plans its queries get. */
export interface PlanSettings {
  /** As its configuration has them, whether or not they are the defaults: those of a clone's version may be others. */
  values: Record<string, string>
  /** Names of those that are set for the role that asks, so that it can't tell what others have. */
  hidden: string[]
}

interface Row {
  name: string
  value: string
  unit: string | null
  source: string
}

/** Where a value is another than that of the server: https://www.postgresql.org/docs/current/view-pg-settings.html */
const OF_DATABASE = ['database']
const OF_SESSION = ['user', 'database user', 'client', 'session']

/** What is set for the database itself comes with the database, and is left out. */
export async function readPlanSettings(client: Client): Promise<PlanSettings> {
  const { rows } = await client.query<Row>(
    'SELECT name, reset_val AS value, unit, source FROM pg_settings WHERE name = ANY ($1) AND reset_val IS NOT NULL',
    [PLAN_SETTINGS],
  )
  const known = rows.filter(({ source }) => !OF_DATABASE.includes(source) && !OF_SESSION.includes(source))
  return {
    values: Object.fromEntries(known.map(({ name, value, unit }) => [name, withUnit(value, unit)])),
    hidden: rows.filter(({ source }) => OF_SESSION.includes(source)).map(({ name }) => name),
  }
}

/** Of several databases of one server: what one does not tell, another may. */
export function mergePlanSettings(all: readonly PlanSettings[]): PlanSettings {
  const values = Object.assign({}, ...all.map((one) => one.values)) as Record<string, string>
  const hidden = new Set(all.flatMap((one) => one.hidden).filter((name) => values[name] === undefined))
  return { values, hidden: [...hidden] }
}

/** To the log of a run. */
export function tellHidden({ hidden }: PlanSettings, reporter: Reporter): void {
  if (hidden.length === 0) return
  reporter.warn(
    `settings of the source that are not known, since the role that reads it has its own: ${hidden.join(', ')}; clones that are to be like the source have Postgres' default`,
  )
}

/** The bare number counts blocks, which another build may have in another size, and `8kB` is none of the units that a value may have. */
export function withUnit(value: string, unit: string | null): string {
  const [, times, name] = /^(\d*)(B|kB|MB|GB|TB)$/.exec(unit ?? '') ?? []
  if (name === undefined || !/^\d+$/.test(value)) return value
  return `${BigInt(value) * BigInt(times || '1')}${name}`
}
