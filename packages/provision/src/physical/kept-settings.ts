import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import type { PostgresRuntime } from '../postgres/runtime.ts'
import { type TakenSettings, takenSettings } from '../postgres/taken-settings.ts'
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

/** What clones have of the source's settings, and what this machine does not take, such as locales that it lacks. */
export type KeptSettings = TakenSettings

/** What the files of a data directory say of how its server is set. */
export interface FoundSettings {
  /** By name, in small letters; the later file first. */
  values: ReadonlyMap<string, string>
  /** True where what is not in them has its default: there is a postgresql.conf, and it includes no other file. */
  isWhole: boolean
}

/** Files that those include are not looked for. */
export async function findSettings(dataDir: string, files: AccountFiles): Promise<FoundSettings> {
  const values = new Map<string, string>()
  let isWhole = false
  for (const name of ['postgresql.conf', 'postgresql.auto.conf']) {
    const path = join(dataDir, name)
    // A FIFO would never end.
    if (!(await orGone(lstat(path)))?.isFile()) continue
    for (const [key, value] of parseSettings(await files.read(path))) values.set(key, value)
    if (name === 'postgresql.conf') isWhole = !INCLUDES.some((directive) => values.has(directive))
  }
  return { values, isWhole }
}

/** https://www.postgresql.org/docs/current/config-setting.html#CONFIG-INCLUDES */
const INCLUDES = ['include', 'include_if_exists', 'include_dir'] as const

/**
 * What of a source's settings clones are to have: of those of its files, and of what the caller knows besides.
 *
 * @param given such as all of the source's pg_settings
 */
export async function settingsToKeep(
  found: FoundSettings,
  major: number,
  { runtime, given = {} }: { runtime: PostgresRuntime; given?: Readonly<Record<string, string>> | undefined },
): Promise<KeptSettings> {
  const values = new Map(found.values)
  for (const [key, value] of Object.entries(given)) values.set(key.toLowerCase(), value)
  const wanted = MEANING.flatMap((name) => {
    const value = values.get(name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return takenSettings(runtime, Object.fromEntries(wanted), major)
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
