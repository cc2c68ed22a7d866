import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { isSystemError, ProvisionError } from '@dblab/provision'
import type { Environment } from '../../config/load.ts'
import type { MaskingConfig } from '../../config/masking.ts'
import type { MaskingFile } from './files.ts'
import { type MaskingKeys, readKeys } from './keyring.ts'
import { compilePattern, type Pattern } from './pattern.ts'
import { compileRule, type Rule } from './rule.ts'

/** A configuration whose files and secret were read, ready for any number of refreshes. */
export interface Masking {
  files: MaskingFile[]
  rules: Rule[]
  keys: MaskingKeys | undefined
  largeObjects: 'keep' | 'remove' | undefined
  coverage: { mode: 'block' | 'warn' | 'off'; allow: Pattern[] }
  timeoutSeconds: number
  /** Says which mask data bears: the same for the same rules, files and engine. Nothing of the secret is in it. */
  maskVersion: string
}

/** Raised when the same configuration masks otherwise than before. */
const ENGINE_VERSION = 1

/** A message to the server holds a gigabyte; no masking file is near that. */
const MOST_BYTES = 64 * 2 ** 20

/**
 * Reads and checks everything that can be known before data is brought in.
 *
 * @throws ProvisionError INVALID
 */
export async function prepareMasking(config: MaskingConfig, environment: Environment): Promise<Masking> {
  const files: MaskingFile[] = []
  for (const { path, database } of config.files) files.push({ path, database, sql: await readScript(path) })
  return {
    files,
    rules: config.rules.map(compileRule),
    keys: await readKeys(config, environment),
    largeObjects: config.largeObjects,
    coverage: { mode: config.coverage.mode, allow: config.coverage.allow.map(compilePattern) },
    timeoutSeconds: config.timeoutSeconds,
    maskVersion: versionOf(config, files),
  }
}

function versionOf({ rules, largeObjects }: MaskingConfig, files: readonly MaskingFile[]): string {
  const parts = [
    ENGINE_VERSION,
    rules.map((rule) => Object.entries(rule).sort(([a], [b]) => (a < b ? -1 : 1))),
    files.map(({ database, sql }) => [database ?? null, createHash('sha256').update(sql).digest('hex')]),
    largeObjects ?? null,
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16)
}

async function readScript(path: string): Promise<string> {
  const content = await readBounded(path)
  let sql: string
  try {
    sql = new TextDecoder('utf-8', { fatal: true }).decode(content)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw unusable(path, 'is not UTF-8', error)
  }
  if (sql.includes('\0')) throw unusable(path, 'has a zero byte')
  // One that was cut off to nothing would mask nothing, and say so to nobody.
  if (sql.trim() === '') throw unusable(path, 'is empty')
  return sql
}

async function readBounded(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stats = await file.stat()
    if (!stats.isFile()) throw unusable(path, 'is not a file')
    if (stats.size > MOST_BYTES) throw unusable(path, 'is larger than 64 MiB')
    return await file.readFile()
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw unusable(path, `can't be read (${error.code})`, error)
  }
}

function unusable(path: string, why: string, cause?: unknown): ProvisionError {
  return new ProvisionError('INVALID', `the masking file ${path} ${why}`, {
    cause,
    hint: 'It is named by retrieval.masking.files.',
  })
}
