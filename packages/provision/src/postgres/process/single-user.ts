import { join } from 'node:path'
import { ProvisionError } from '../../errors.ts'
import { type CommandError, run } from '../../exec.ts'
import type { PostgresBinaries } from '../binaries.ts'
import type { Account, SingleUserSpec } from '../runtime.ts'
import { spaceError } from '../space.ts'

/** What it writes is some megabytes, flushed: seconds, but for a disk that is worked to death. */
const TIMEOUT_MS = 10 * 60_000

/** Whatever the data directory's own files say of them. */
const OWN_SETTINGS = {
  archive_mode: 'off',
  exit_on_error: 'on',
  lc_messages: 'C',
  log_destination: 'stderr',
  logging_collector: 'off',
  // Not one of the data's, in which it would be to run code of its own.
  session_preload_libraries: '',
  shared_preload_libraries: '',
} as const

/**
 * Has a server of a single user take statements from its standard input, one to a line, and end (PostgreSQL manual, "postgres").
 *
 * @returns what it wrote to its standard output
 * @throws CommandError at the first statement that fails
 */
export async function runSingleUser(
  dataDir: string,
  { database, statements, settings }: SingleUserSpec,
  { binDir }: PostgresBinaries,
  account: Account,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (statements.some((statement) => statement.includes('\n')))
    throw new ProvisionError('INVALID', 'a statement for a server of a single user has a line break')
  const given = Object.entries({ ...settings, ...OWN_SETTINGS }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const { stdout } = await run([join(binDir, 'postgres'), '--single', '-D', dataDir, ...given, '--', database], {
    cwd: dataDir,
    timeoutMs: TIMEOUT_MS,
    input: statements.map((statement) => `${statement}\n`).join(''),
    ...(process.getuid?.() === 0 && { account }),
    signal,
  })
  return stdout
}

/** What the failure of one means. */
export function singleUserFailure(error: CommandError): ProvisionError {
  const lines = error.stderr.split('\n')
  const reason = lines.map((line) => /(?:FATAL|ERROR|PANIC): +(.*)/.exec(line)?.[1]).findLast(Boolean)
  return (
    spaceError(lines, error) ??
    new ProvisionError('FAILED', `a server of a single user ended: ${reason ?? 'without a word'}`, { cause: error })
  )
}
