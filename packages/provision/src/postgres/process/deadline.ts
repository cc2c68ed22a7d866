import type { RecoveryProgress } from '../runtime.ts'

/** When it is time to give up. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal
  /** How long, and of what: the end of a sentence. */
  readonly reason: string
}

/** What is seen of a server that starts: when nothing of it is another, it does not get on. */
export interface Signs extends RecoveryProgress {
  /** The last line of its log that is of a step forward. Not any line: one that waits for what never comes complains again and again. */
  step?: string | undefined
}

const LOOK_EVERY_MS = 500

export function fixedDeadline(timeoutMs: number): Deadline {
  return { signal: AbortSignal.timeout(timeoutMs), reason: `after ${timeoutMs} ms`, [Symbol.dispose]: () => undefined }
}

/** Strikes once nothing has changed for so long; and at once, with the error as its reason, when it can't be looked at. */
export function progressDeadline(
  stallMs: number,
  look: () => Promise<Signs>,
  onProgress: (progress: RecoveryProgress) => void = () => undefined,
): Deadline {
  const controller = new AbortController()
  let last: { signs: Signs; at: number } = { signs: {}, at: Date.now() }
  const take = (signs: Signs) => {
    const { walFile, lsn, step } = signs
    const moved = walFile !== last.signs.walFile || lsn !== last.signs.lsn
    if (moved || step !== last.signs.step) last = { signs, at: Date.now() }
    else if (Date.now() - last.at >= stallMs) controller.abort(new Error(`no progress for ${stallMs} ms`))
    if (moved && (walFile ?? lsn) !== undefined) onProgress({ walFile, lsn })
  }
  const timer = setInterval(() => {
    look().then(take, (error: unknown) => controller.abort(error))
  }, LOOK_EVERY_MS)
  return {
    signal: controller.signal,
    reason: `though nothing was seen of it for ${stallMs} ms`,
    [Symbol.dispose]: () => clearInterval(timer),
  }
}
