import { LabTimeoutError } from './errors.ts'

/** The longest delay that timers take: 2^31 - 1 milliseconds, 24 days. A longer one would fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647

/**
 * The time that a call has. Its signal aborts with a LabTimeoutError when the time is over, or with the reason of the caller's own
 * signal. For `within`.
 */
export class Deadline {
  readonly #controller = new AbortController()
  readonly #endsAt: number
  readonly #outer: AbortSignal | undefined
  readonly #timer: ReturnType<typeof setTimeout> | undefined

  /**
   * @param what is to be done in time, for the error
   * @param timeoutMs more than 0; Infinity for no limit
   * @throws TypeError for another timeout
   */
  constructor(what: string, timeoutMs: number, outer?: AbortSignal) {
    if (!(timeoutMs > 0)) throw new TypeError('timeoutMs must be above 0 (Infinity for no limit)')
    this.#endsAt = performance.now() + timeoutMs
    this.#outer = outer
    if (outer?.aborted) this.#controller.abort(outer.reason)
    outer?.addEventListener('abort', this.#follow, { once: true })
    if (timeoutMs <= LONGEST_TIMER_MS) {
      this.#timer = setTimeout(() => this.#controller.abort(new LabTimeoutError(what, timeoutMs)), timeoutMs)
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Milliseconds, never below 0. */
  get remainingMs(): number {
    return Math.max(0, this.#endsAt - performance.now())
  }

  /** Lets go of the timer and of the caller's signal. */
  clear(): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#follow)
  }

  readonly #follow = () => this.#controller.abort(this.#outer?.reason)
}

/**
 * Does something in the time that it has, and leaves no timer or listener behind.
 *
 * A function, not a `using`, since that needs `Symbol.dispose`, which not every browser has.
 */
export async function within<T>(deadline: Deadline, run: (deadline: Deadline) => Promise<T>): Promise<T> {
  try {
    return await run(deadline)
  } finally {
    deadline.clear()
  }
}

/** Does something with a signal that aborts some time after another one: for what should still get its answer. */
export async function withGrace<T>(
  before: AbortSignal,
  graceMs: number,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const begin = () => {
    timer = setTimeout(() => controller.abort(before.reason), graceMs)
  }
  if (before.aborted) begin()
  else before.addEventListener('abort', begin, { once: true })
  try {
    return await run(controller.signal)
  } finally {
    clearTimeout(timer)
    before.removeEventListener('abort', begin)
  }
}

/** @throws the signal's reason as soon as it aborts */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal.addEventListener('abort', stop, { once: true })
  })
}
