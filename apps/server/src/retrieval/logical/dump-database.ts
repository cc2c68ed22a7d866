import { type Account, isProvisionError, ProvisionError } from '@dblab/provision'
import { InterruptedError } from '../interrupted.ts'
import { connectionText, type SourceAddress } from '../live/address.ts'
import { isLost, noSpaceError, toolEnvironment } from '../live/tool.ts'
import type { TableProgress } from '../runs/table-progress.ts'
import { ToolMessages } from '../tools/tool-messages.ts'
import { runTool } from '../tools/tool-process.ts'
import type { DumpTools } from './client-tools.ts'
import { type HeldSnapshot, heldTooLong } from './held-snapshot.ts'
import { type Selection, selectionArguments } from './selection.ts'

export interface DumpDatabaseOptions {
  address: SourceAddress
  passFile: string | undefined
  selection: Selection
  /** That come along. */
  extensions: readonly string[]
  tools: DumpTools
  account: Account
  /** Tables at once, each with a connection of its own. */
  jobs: number
  /** Of pg_dump's --compress; what is dumped is read once, from the same machine. */
  compress: string
  /** When the snapshot must not be held any longer. */
  deadline: Date
  progress: TableProgress
  /** There is more to be seen of it. */
  onProgress: () => void
}

/** How much later pg_dump is ended where the server, which ends it at the deadline, does not run on. */
const UNATTENDED_MS = 1000

/**
 * Dumps a database as the held snapshot shows it into a new directory, in pg_dump's directory format.
 *
 * @throws InterruptedError where the source, or pg_dump, went away; ProvisionError TIMEOUT at the deadline, NO_SPACE, FAILED, ABORTED
 */
export async function dumpDatabase(
  snapshot: HeldSnapshot,
  directory: string,
  options: DumpDatabaseOptions,
  stop: AbortSignal,
): Promise<void> {
  const messages = new ToolMessages()
  const leftMs = Math.max(0, options.deadline.getTime() - Date.now())
  const deadline = AbortSignal.timeout(leftMs)
  const signal = AbortSignal.any([stop, snapshot.lost, deadline])
  let code: number | undefined
  try {
    code = await runTool({
      argv: dumpArguments(snapshot.database, directory, options, [
        `--jobs=${options.jobs}`,
        `--snapshot=${snapshot.id}`,
        `--compress=${options.compress}`,
      ]),
      account: options.account,
      env: toolEnvironment(options.passFile),
      onStderrLine: (line) => {
        messages.add(line)
        if (options.progress.line(line)) options.onProgress()
      },
      signal,
      limitMs: leftMs + UNATTENDED_MS,
    })
  } catch (error) {
    if (!isProvisionError(error, 'ABORTED')) throw error
    throw whyStopped(error, stop, snapshot, { signal, deadline })
  }
  if (code !== 0 && Date.now() >= options.deadline.getTime()) throw heldTooLong()
  if (code !== 0) throw dumpError(snapshot.database, code, messages)
}

/**
 * Dumps what the database is made of, without rows, as it is now, into a new directory.
 *
 * @throws as `dumpDatabase`
 */
export async function dumpSchema(
  database: string,
  directory: string,
  options: Omit<DumpDatabaseOptions, 'jobs' | 'compress' | 'progress' | 'onProgress'>,
  stop: AbortSignal,
): Promise<void> {
  const messages = new ToolMessages()
  const leftMs = Math.max(0, options.deadline.getTime() - Date.now())
  const deadline = AbortSignal.timeout(leftMs)
  const code = await runTool({
    argv: dumpArguments(database, directory, options, ['--schema-only']),
    account: options.account,
    env: toolEnvironment(options.passFile),
    onStderrLine: (line) => messages.add(line),
    signal: AbortSignal.any([stop, deadline]),
    limitMs: leftMs + UNATTENDED_MS,
  }).catch((error: unknown) => {
    throw isProvisionError(error, 'ABORTED') && !stop.aborted ? heldTooLong() : error
  })
  if (code !== 0) throw dumpError(database, code, messages)
}

function dumpArguments(
  database: string,
  directory: string,
  {
    address,
    selection,
    extensions,
    tools,
  }: Pick<DumpDatabaseOptions, 'address' | 'selection' | 'extensions' | 'tools'>,
  how: readonly string[],
): [string, ...string[]] {
  return [
    tools.pgDump.path,
    `--dbname=${connectionText(address, database)}`,
    '--format=directory',
    `--file=${directory}`,
    ...how,
    // Behind somebody's ALTER TABLE: the snapshot is held meanwhile.
    '--lock-wait-timeout=300000',
    '--no-password',
    '--verbose',
    // A subscription would receive from production.
    '--no-subscriptions',
    // Else a database that lies in one would not be made as it is there.
    '--no-tablespaces',
    ...selectionArguments(selection, extensions, tools.pgDump.major),
  ]
}

function whyStopped(
  error: ProvisionError,
  stopped: AbortSignal,
  { lost }: HeldSnapshot,
  { signal, deadline }: { signal: AbortSignal; deadline: AbortSignal },
): unknown {
  if (stopped.aborted) return error
  // Of the two, the first.
  if (deadline.aborted && signal.reason === deadline.reason) return heldTooLong()
  return lost.aborted ? lost.reason : error
}

function dumpError(database: string, code: number | undefined, messages: ToolMessages): ProvisionError {
  const summary = messages.summary()
  const what = `${JSON.stringify(database)} could not be dumped: ${summary}`
  if (code === undefined) return new InterruptedError(`pg_dump of ${JSON.stringify(database)} was killed`)
  // Before what it lets the rest of the tool say.
  const room = 'The dump is kept in the pool until it is restored: make room, or make the pool larger.'
  const full = noSpaceError(messages, what, room)
  if (full) return full
  if (isLost(messages)) return new InterruptedError(what, { hint: 'It is tried again; see the log of the source.' })
  const noMatch = /no matching (tables|schemas)/i.test(summary)
  return new ProvisionError(noMatch ? 'INVALID' : 'FAILED', what, {
    hint: noMatch ? 'Correct the patterns of retrieval.sources.' : 'See what the source says, and its log.',
  })
}
