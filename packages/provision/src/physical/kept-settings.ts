import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { isProvisionError } from '../errors.ts'
import type { PostgresRuntime } from '../postgres/runtime.ts'
import { orGone } from '../storage/tree.ts'
import type { AccountFiles } from './account-files.ts'

/**
 * Settings that decide what a statement means, or how its result is written (manual, "Client Connection Defaults" and "Version and Platform
 * Compatibility"). Without them a clone would answer otherwise than the source: initdb writes some of them into each postgresql.conf. None
 * of them reaches out of a session.
 */
const MEANING: readonly string[] = [
  'array_nulls',
  'backslash_quote',
  'bytea_output',
  'datestyle',
  'default_text_search_config',
  'default_transaction_isolation',
  'extra_float_digits',
  'intervalstyle',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'search_path',
  'standard_conforming_strings',
  'timezone',
  'timezone_abbreviations',
  'transform_null_equals',
  'xmlbinary',
  'xmloption',
]

export interface KeptSettings {
  /** What clones have of the source's settings. */
  kept: Record<string, string>
  /** Names of those that this machine does not take, such as locales that it lacks. */
  notKept: string[]
}

/**
 * What of a source's settings clones are to have: of the files that its data directory has, the later one first, and of what the caller
 * knows besides. Files that those include are not looked for.
 *
 * @param given such as all of the source's pg_settings
 */
export async function settingsToKeep(
  dataDir: string,
  major: number,
  { runtime, files, given = {} }: { runtime: PostgresRuntime; files: AccountFiles; given?: Settings | undefined },
): Promise<KeptSettings> {
  const found = new Map<string, string>()
  for (const name of ['postgresql.conf', 'postgresql.auto.conf']) {
    const path = join(dataDir, name)
    // A FIFO would never end.
    if (!(await orGone(lstat(path)))?.isFile()) continue
    for (const [key, value] of parseSettings(await files.read(path))) found.set(key, value)
  }
  for (const [key, value] of Object.entries(given)) found.set(key.toLowerCase(), value)
  const wanted = MEANING.flatMap((name) => {
    const value = found.get(name)
    return value === undefined ? [] : [[name, value] as const]
  })
  const are = (some: Settings) => areTaken(runtime, some, major)
  // Which of them is not, only one by one would tell.
  if (await are(Object.fromEntries(wanted))) return { kept: Object.fromEntries(wanted), notKept: [] }
  const result: KeptSettings = { kept: {}, notKept: [] }
  for (const [name, value] of wanted) {
    if (await are({ [name]: value })) result.kept[name] = value
    else result.notKept.push(name)
  }
  return result
}

type Settings = Readonly<Record<string, string>>

async function areTaken(runtime: PostgresRuntime, settings: Settings, major: number): Promise<boolean> {
  // A file has a line for each.
  if (Object.values(settings).some((value) => /[\n\r\0]/.test(value))) return false
  try {
    await runtime.checkSettings(settings, major)
    return true
  } catch (error) {
    if (isProvisionError(error, 'INVALID')) return false
    throw error
  }
}

/** A line of a configuration file (manual, "Parameter Names and Values"): a value in quotes, in which they are doubled or escaped, or a word. */
const LINE = /^\s*([a-z_]\w*)(?:\s*=\s*|\s+)(?:'((?:[^'\\]|''|\\.)*)'|([^\s#'=][^\s#']*))\s*(?:#.*)?$/i

export function parseSettings(text: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, name, quoted, word] = LINE.exec(line) ?? []
    const value = quoted?.replace(/''|\\(.)/g, (pair, escaped?: string) => escaped ?? pair.slice(1)) ?? word
    if (name !== undefined && value !== undefined) found.set(name.toLowerCase(), value)
  }
  return found
}

export function settingLine(name: string, value: string): string {
  return `${name} = '${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
