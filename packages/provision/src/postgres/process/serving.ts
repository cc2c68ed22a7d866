import type { Client } from 'pg'
import { allOf } from '../../bounded.ts'
import { ProvisionError } from '../../errors.ts'
import type { InstanceSpec, StartOptions } from '../runtime.ts'
import { type Deadline, fixedDeadline, progressDeadline } from './deadline.ts'
import { lastWords, portIsTaken, portTaken, startFailure, statusNotWritten } from './failure.ts'
import { greet } from './greet.ts'
import type { LaunchedServer } from './launcher.ts'
import { linesSince } from './log.ts'
import type { ProcessTable } from './processes.ts'
import { untilReady } from './until-ready.ts'

/** Recovery of a large cluster takes longer: whoever starts one says so. */
const START_TIMEOUT_MS = 60_000

interface ServingOptions {
  table: ProcessTable
  /** Of the cluster. */
  major: number
  socketDir: string
  logFile: string
  logOffset: number
  /** Called once it has all the memory that it takes as it starts, while it makes the lab's first session. */
  noteItsMemory: () => Promise<void>
}

/**
 * Until a server that was launched takes connections at its own port.
 *
 * @throws ProvisionError ABORTED, TIMEOUT, NO_SPACE, IN_USE for a port that is a stranger's, or why it ended, with the last words of its
 * log
 */
export async function untilServing(
  server: LaunchedServer,
  spec: InstanceSpec,
  at: ServingOptions,
  options: StartOptions,
): Promise<void> {
  using deadline = deadlineOf(server, at, options)
  const cut = options.signal ? AbortSignal.any([options.signal, deadline.signal]) : deadline.signal
  const log = () => linesSince(at.logFile, at.logOffset)
  try {
    const obstacle = async () => statusNotWritten(await log())
    if ((await untilReady(server, spec.dataDir, cut, obstacle)) === 'exited') throw startFailure(spec, await log())
    const requirePort = async () => {
      if (portIsTaken(await log())) throw portTaken(spec)
    }
    // While the session is opened; before anything is said at the port, which may be a stranger's.
    const port = requirePort()
    const { firstSession } = options
    const work = firstSession && (async (client: Client) => port.then(() => firstSession(client)))
    let noting: Promise<void> | undefined
    const note = () => {
      noting ??= at.noteItsMemory()
      return noting
    }
    // Whoever awaits the note hears of it.
    const whenAsked = () => void note().catch(() => undefined)
    const session = spec.closed ? Promise.resolve() : greet(spec, at, { signal: cut, work, whenAsked })
    await allOf([port, session, session.then(note, () => noting)])
  } catch (error) {
    if (options.signal?.aborted) throw startAborted(error)
    if (!deadline.signal.aborted) throw error
    throw new ProvisionError('TIMEOUT', `Postgres was not ready ${deadline.reason}${lastWords(await log())}`, {
      cause: error,
      hint: 'Data that was not shut down cleanly is recovered first, which takes its time.',
    })
  }
}

/** As Postgres names what its startup process is at (xlogrecovery.c), and says in its log now and then (`log_startup_progress_interval`). */
const TITLE = /^postgres: (?:.*: )?startup +(?:recovering|waiting for) ([0-9A-F]{24})/
const PROGRESS = /^\S+ \S+ \S+ \[\d+\] LOG: {2}redo in progress, .*current LSN: ([0-9A-F]+\/[0-9A-F]+)/
/** What recovery goes through one after the other, and says of the longer ones again and again (xlogrecovery.c, xlog.c, fd.c, reinit.c). */
const STEP =
  /^\S+ \S+ \S+ \[\d+\] LOG: {2}(?:starting|database system was|entering|redo |restored log file|syncing data directory|resetting unlogged|consistent|selected new timeline|archive recovery complete|checkpoint |restartpoint )/

function deadlineOf(
  server: LaunchedServer,
  at: { table: ProcessTable; logFile: string; logOffset: number },
  { timeoutMs, stallMs, onProgress }: StartOptions,
): Deadline {
  if (stallMs === undefined) return fixedDeadline(timeoutMs ?? START_TIMEOUT_MS)
  const look = async () => {
    const [children, lines] = await Promise.all([at.table.childrenOf(server.pid), linesSince(at.logFile, at.logOffset)])
    const walFile = children.map(({ title }) => TITLE.exec(title)?.[1]).find(Boolean)
    const lsn = lines.map((line) => PROGRESS.exec(line)?.[1]).findLast(Boolean)
    return { walFile, lsn, step: lines.findLast((line) => STEP.test(line)) }
  }
  return progressDeadline(stallMs, look, onProgress)
}

export function startAborted(cause: unknown): ProvisionError {
  return new ProvisionError('ABORTED', 'the start of Postgres was stopped on request', { cause })
}
