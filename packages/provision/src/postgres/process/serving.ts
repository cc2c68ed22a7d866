import type { ChildProcess } from 'node:child_process'
import { ProvisionError } from '../../errors.ts'
import type { InstanceSpec, StartOptions } from '../runtime.ts'
import { lastWords, portIsTaken, portTaken, startFailure, statusNotWritten } from './failure.ts'
import { greet } from './greet.ts'
import { untilReady } from './launch.ts'
import { linesSince } from './log.ts'

/** Recovery of a large cluster takes longer: whoever starts one says so. */
const START_TIMEOUT_MS = 60_000

/**
 * Until a server that was launched takes connections at its own port.
 *
 * @throws ProvisionError ABORTED, TIMEOUT, NO_SPACE, IN_USE for a port that is a stranger's, or why it ended, with the last words of its
 * log
 */
export async function untilServing(
  child: ChildProcess,
  spec: InstanceSpec,
  at: { socketDir: string; logFile: string; logOffset: number },
  options: StartOptions,
): Promise<void> {
  const timeoutMs = options.timeoutMs ?? START_TIMEOUT_MS
  const deadline = AbortSignal.timeout(timeoutMs)
  const cut = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline
  const log = () => linesSince(at.logFile, at.logOffset)
  try {
    const obstacle = async () => statusNotWritten(await log())
    if ((await untilReady(child, spec.dataDir, cut, obstacle)) === 'exited') throw startFailure(spec, await log())
    if (portIsTaken(await log())) throw portTaken(spec)
    await greet({ socketDir: at.socketDir, port: spec.port }, spec.database ?? 'postgres', cut)
  } catch (error) {
    if (options.signal?.aborted) throw startAborted(error)
    if (!deadline.aborted) throw error
    throw new ProvisionError('TIMEOUT', `Postgres was not ready after ${timeoutMs} ms${lastWords(await log())}`, {
      cause: error,
      hint: 'Data that was not shut down cleanly is recovered first, which takes its time.',
    })
  }
}

export function startAborted(cause: unknown): ProvisionError {
  return new ProvisionError('ABORTED', 'the start of Postgres was stopped on request', { cause })
}
