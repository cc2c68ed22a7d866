import { join } from 'node:path'
import { type Account, type Places, ProvisionError } from '@dblab/provision'
import { InterruptedError } from '../interrupted.ts'
import { connectionText, type SourceAddress } from '../live/address.ts'
import { isLost, noSpaceError, toolEnvironment } from '../live/tool.ts'
import type { Reporter } from '../source.ts'
import { ToolMessages } from '../tools/tool-messages.ts'
import { runTool } from '../tools/tool-process.ts'

export interface BaseBackupOptions {
  /** pg_basebackup. */
  program: string
  address: SourceAddress
  passFile: string | undefined
  account: Account
  maxRateBytes: number | undefined
  /** Keeps the log for the standby that the copy is to be; undefined for none. */
  slot: string | undefined
  tablespaces: readonly { oid: number; location: string }[]
}

/**
 * Copies a live server's files, with the WAL that makes them consistent.
 *
 * @throws InterruptedError where the source, or pg_basebackup, went away; ProvisionError NO_SPACE, FAILED, ABORTED
 */
export async function takeBaseBackup(places: Places, options: BaseBackupOptions, reporter: Reporter): Promise<void> {
  const messages = new ToolMessages()
  const code = await runTool({
    argv: backupArguments(places, options),
    account: options.account,
    env: toolEnvironment(options.passFile),
    onStderrLine: (line) => {
      messages.add(line)
      tellProgress(line, reporter)
    },
    signal: reporter.signal,
  })
  if (code !== 0) throw backupError(code, messages)
}

function backupArguments(
  { dataDir, tablespacesDir }: Places,
  { program, address, maxRateBytes, slot, tablespaces }: BaseBackupOptions,
): [string, ...string[]] {
  return [
    program,
    `--dbname=${connectionText(address, address.database)}`,
    `--pgdata=${dataDir}`,
    '--format=plain',
    '--wal-method=stream',
    // Else a temporary one keeps the log for the copy alone, and is gone with its connection.
    ...(slot === undefined ? [] : [`--slot=${slot}`]),
    '--checkpoint=fast',
    '--no-password',
    // What is in the volume goes to the disk with its snapshot.
    '--no-sync',
    '--no-manifest',
    '--progress',
    '--verbose',
    ...(maxRateBytes === undefined ? [] : [`--max-rate=${Math.max(32, Math.round(maxRateBytes / 1024))}k`]),
    // Without it, they would be written where they are on the source's machine.
    ...tablespaces.map(
      ({ oid, location }) => `--tablespace-mapping=${escaped(location)}=${join(tablespacesDir, String(oid))}`,
    ),
  ]
}

/** An equals sign would end the old name (manual, "pg_basebackup"). */
function escaped(location: string): string {
  return location.replaceAll('=', '\\=')
}

/** `12345/67890 kB (18%), 0/1 tablespace`, again and again in one line. */
function tellProgress(line: string, reporter: Reporter): void {
  const [, done, total] = /^\s*(\d+)\/(\d+) kB \(/.exec(line) ?? []
  if (done === undefined || total === undefined) return
  const bytesTotal = Number(total) * 1024
  reporter.progress({ step: 'COPY', bytesDone: Math.min(Number(done) * 1024, bytesTotal), bytesTotal })
}

function backupError(code: number | undefined, messages: ToolMessages): ProvisionError {
  const what = `the source could not be copied: ${messages.summary()}`
  if (code === undefined) return new InterruptedError('pg_basebackup was killed')
  // Before what it lets the rest of the tool say.
  const full = noSpaceError(messages, what, 'Free space in the pool, or make it larger.')
  if (full) return full
  if (isLost(messages)) return new InterruptedError(what, { hint: 'It is tried again; see the log of the source.' })
  return new ProvisionError('FAILED', what, { hint: 'See what the source says, and its log.' })
}
