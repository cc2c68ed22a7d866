import { type ClientTool, type ClientTools, ProvisionError } from '@dblab/provision'

/**
 * The first minor release of each major whose psql knows `\restrict`; all of 18 and later do. The releases of August 2025 brought it, with the
 * fix of CVE-2025-8714: https://www.postgresql.org/support/security/CVE-2025-8714/
 */
const firstMinorWithRestrict: Readonly<Record<number, number>> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 }

export function knowsRestrict(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  const first = firstMinorWithRestrict[major]
  return major >= 18 || (first !== undefined && minor >= first)
}

/**
 * The psql that runs a script.
 *
 * @throws ProvisionError UNAVAILABLE, naming the package that brings one
 */
export function needPsql(tools: ClientTools, script: { path: string; restricted: boolean }): ClientTool {
  const tool = tools.psql
  if (!tool) throw noTool('psql', script.path, 'postgresql-client')
  if (!script.restricted || knowsRestrict(tool.version)) return tool
  throw new ProvisionError('UNAVAILABLE', `${script.path} uses \\restrict, which psql ${tool.version} does not know`, {
    hint: 'Update the package postgresql-client: psql knows it from 13.22, 14.19, 15.14, 16.10, 17.6 and 18 on.',
  })
}

/** The format of an archive, and the first pg_restore that reads it. */
export interface ArchiveNeeds {
  path: string
  format: string
  minimumMajor: number
}

/**
 * The pg_restore that reads an archive.
 *
 * @throws ProvisionError UNAVAILABLE, naming the package that brings one
 */
export function needPgRestore(tools: ClientTools, archive: ArchiveNeeds): ClientTool {
  const tool = tools.pg_restore
  const packageName = `postgresql-client-${archive.minimumMajor}`
  if (!tool) throw noTool('pg_restore', archive.path, `${packageName} or a later one`)
  if (tool.major >= archive.minimumMajor) return tool
  throw new ProvisionError(
    'UNAVAILABLE',
    `${archive.path} has archive format ${archive.format}, which needs pg_restore ${archive.minimumMajor} or later; here is ${tool.version}`,
    {
      hint: `Install the package ${packageName} or a later one (apt.postgresql.org has them where the distribution does not), or make the dump in pg_dump's plain format.`,
    },
  )
}

/**
 * What pg_restore says of an archive whose data it can't unpack is a warning, after which it lists the archive all the same:
 * "archive is compressed, but this installation does not support compression (this build does not support compression with ZSTD) -- no data will be
 * available", up to 15 without the method in brackets (src/bin/pg_dump/pg_backup_archiver.c).
 *
 * @throws ProvisionError UNAVAILABLE, naming the method, where these lines hold it
 */
export function checkInnerCompression(tool: ClientTool, path: string, lines: readonly string[]): void {
  const warning = lines.find((line) => line.includes('this installation does not support compression'))
  if (warning === undefined) return
  const method = /does not support compression with (\w+)/.exec(warning)?.[1]
  throw new ProvisionError(
    'UNAVAILABLE',
    `the data in ${path} are compressed${method === undefined ? '' : ` with ${method}`}, which pg_restore ${tool.version} (${tool.path}) was built without`,
    {
      hint: 'Install a pg_restore that has it, as the packages of Debian, Ubuntu and apt.postgresql.org do, or make the dump with pg_dump --compress=0, and compress the file if need be.',
    },
  )
}

function noTool(name: string, path: string, packageName: string): ProvisionError {
  return new ProvisionError('UNAVAILABLE', `${path} is restored with ${name}, and there is none on this machine`, {
    hint: `Install PostgreSQL's client programs: the package ${packageName} on Debian and Ubuntu, libpq from Homebrew on macOS.`,
  })
}
