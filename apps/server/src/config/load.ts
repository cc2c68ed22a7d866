import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { isSystemError } from '@dblab/provision'
import { isScalar, LineCounter, parseDocument, visit } from 'yaml'
import type { z } from 'zod'
import { isToken, TOKEN_RULE } from '../token.ts'
import { type Config, configSchema } from './schema.ts'
import { inWords } from './words.ts'

/** The configuration can't be used. The message names the file, the key, the problem and the line. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** A variable of the server's environment, which the configuration names. */
export type Environment = (name: string) => string | undefined

export interface LoadedConfig {
  config: Config
  /** The file that was read, or undefined where there is none. */
  file: string | undefined
  /** From `DBLAB_TOKEN`. Never part of a file. */
  token: string | undefined
  /** Variables of the environment that the configuration names, such as those with passwords. */
  environment: Environment
  /** What is wrong with the configuration, where that does not matter. */
  ignored: string | undefined
}

/** Environment variables that stand over the file. */
const overrides = {
  DBLAB_HOST: 'host',
  DBLAB_PORT: 'port',
  DBLAB_DATA_DIR: 'dataDir',
  DBLAB_LOG_LEVEL: 'logLevel',
} as const

/**
 * Reads the file that `DBLAB_CONFIG` names (else `dblab.yaml` in `cwd`, if it is there), puts the environment over it, and checks the whole.
 *
 * @param options.lenient what only a start needs may be wrong; then the defaults stand for it, and `ignored` says what it was
 * @throws ConfigError
 */
export function loadConfig(env: NodeJS.ProcessEnv, cwd: string, { lenient = false } = {}): LoadedConfig {
  const { raw, file, lineOf } = readFile(env.DBLAB_CONFIG, cwd)
  const fromEnvironment = new Map<string, string>()
  for (const [variable, key] of Object.entries(overrides)) {
    const value = env[variable]
    if (value === undefined || value === '') continue
    fromEnvironment.set(key, variable)
    raw[key] = key === 'port' && /^\d+$/.test(value) ? Number(value) : value
  }
  let parsed = configSchema.safeParse(raw, { error: inWords })
  const problems = parsed.error?.issues.flatMap(explain).map(({ path, message }) => {
    const variable = fromEnvironment.get(String(path[0] ?? ''))
    const line = variable ? undefined : lineOf(path)
    const where = variable ?? `${file ?? 'configuration'}${line === undefined ? '' : `:${line}`}`
    return `${where}: ${path.join('.') || 'the file'}: ${message}`
  })
  if (lenient && !parsed.success) parsed = configSchema.safeParse(whereAndWho(raw))
  if (!parsed.success) throw new ConfigError(problems?.join('\n') ?? '')
  const config = parsed.data
  config.dataDir = realPath(resolve(cwd, config.dataDir))
  if (config.dataDir === '/') throw new ConfigError('dataDir: must not be the root of the file system')
  const token = env.DBLAB_TOKEN
  if (token && !lenient && !isToken(token)) throw new ConfigError(`DBLAB_TOKEN: ${TOKEN_RULE}`)
  const environment = (name: string) => env[name] || undefined
  return { config, file, token: token || undefined, environment, ignored: problems?.join('\n') }
}

/** All that a lab that is there already needs to be found and stopped. */
function whereAndWho({ dataDir, postgres }: Record<string, unknown>): Record<string, unknown> {
  const user = typeof postgres === 'object' && postgres !== null && 'user' in postgres ? postgres.user : undefined
  return { ...(dataDir !== undefined && { dataDir }), ...(user !== undefined && { postgres: { user } }) }
}

/** Without symbolic links, as the system names its mounts; what is not there yet has none. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (isSystemError(error, 'ENOTDIR', 'EACCES', 'ELOOP'))
      throw new ConfigError(`dataDir: ${path} can't be a directory (${error.code})`, { cause: error })
    if (!isSystemError(error, 'ENOENT') || dirname(path) === path) throw error
    return join(realPath(dirname(path)), basename(path))
  }
}

interface RawFile {
  raw: Record<string, unknown>
  file: string | undefined
  lineOf: (path: readonly PropertyKey[]) => number | undefined
}

function readFile(named: string | undefined, cwd: string): RawFile {
  const file = resolve(cwd, named || 'dblab.yaml')
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (isSystemError(error, 'ENOENT') && !named) return { raw: {}, file: undefined, lineOf: () => undefined }
    if (!isSystemError(error)) throw error
    const why = error.code === 'ENOENT' ? 'there is no such file' : `it can't be read (${error.code})`
    const from = named ? 'DBLAB_CONFIG: ' : ''
    throw new ConfigError(`${from}${file}: ${why}`, { cause: error })
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [problem] = document.errors
  if (problem) throw new ConfigError(`${file}:${lines.linePos(problem.pos[0]).line}: is no YAML: ${problem.message}`)
  // A rule's `null: true`: YAML takes that key for no text.
  visit(document, {
    Pair: (_, { key }) => {
      if (isScalar(key) && key.value === null && key.source) key.value = key.source
    },
  })
  const raw: unknown = document.toJS() ?? {}
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    throw new ConfigError(`${file}:1: must be a map of keys, such as "port: 2345"`)
  }
  return { raw: { ...raw }, file, lineOf: (path) => lineOfPath(path) }

  function lineOfPath(path: readonly PropertyKey[]): number | undefined {
    for (let depth = path.length; depth > 0; depth--) {
      const node: unknown = document.getIn(path.slice(0, depth), true)
      if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)) {
        return lines.linePos(Number(node.range[0])).line
      }
    }
    return undefined
  }
}

/** One problem a key: zod reports unknown keys of a map all at once, at the map. */
function explain(issue: z.core.$ZodIssue): { path: PropertyKey[]; message: string }[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'there is no such key' }))
  }
  return [{ path: [...issue.path], message: issue.message }]
}
