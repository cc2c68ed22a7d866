import type { Client } from './client.ts'
import { sleep } from './deadline.ts'
import { LabApiError } from './errors.ts'
import { readConnection } from './event-connection.ts'
import { backoffMs, retryDelayMs } from './retry.ts'
import type { LabEvent, LabEventType } from './schema.gen.ts'

/** Which events; what is left out does not matter. */
export interface EventFilter {
  /** A `resync` comes whatever is asked for. */
  types?: readonly Exclude<LabEventType, 'resync'>[] | undefined
  /** What is about this clone alone: itself, and snapshots that were taken of it. */
  clone?: string | undefined
}

export interface EventOptions extends EventFilter {
  /** Ends the iteration, which then throws the signal's reason. */
  signal?: AbortSignal | undefined
  /** The id of the last event that was seen: goes on behind it, where the server still knows it. */
  lastEventId?: string | undefined
}

/** Times that following goes by; other ones only in tests. */
export interface FollowPace {
  /** A stream that is silent for so long is dead: the server breaks every silence of 15 seconds. */
  silenceMs: number
  /** Before the stream is opened anew, where the server does not say. */
  pauseMs: number
  longestPauseMs: number
}

const defaultFollowPace: FollowPace = { silenceMs: 45_000, pauseMs: 500, longestPauseMs: 15_000 }

export interface FollowOptions extends EventOptions {
  pace?: FollowPace | undefined
  /** Told whenever a stream is there, and when it is not any more. */
  onState?: ((isOpen: boolean) => void) | undefined
}

/** What happens in a lab, one event after the other. Made by `lab.events()`. */
export class LabEvents implements AsyncIterableIterator<LabEvent, void, undefined>, AsyncDisposable {
  readonly #left = new AbortController()
  readonly #events: AsyncGenerator<LabEvent, void, undefined>

  /** @throws TypeError for a lastEventId that can't be sent */
  constructor(client: Client, options: FollowOptions = {}) {
    // What fetch throws for a bad header looks like a lab that is not there, which is waited for.
    if (options.lastEventId !== undefined && !/^[\x21-\x7e]{1,200}$/.test(options.lastEventId))
      throw new TypeError('lastEventId must be 1 to 200 visible ASCII characters')
    this.#events = follow(client, options, this.#left.signal)
  }

  next(): Promise<IteratorResult<LabEvent, void>> {
    return this.#events.next()
  }

  /** Lets the connection go, also while the next event is awaited: then there is none. */
  return(): Promise<IteratorResult<LabEvent, void>> {
    this.#left.abort()
    return this.#events.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** What `await using` does at the end of the block: the same as `return()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}

/** Opens the stream again whenever it ends, behind the last event; until somebody ends it, or the lab refuses it. */
async function* follow(
  client: Client,
  options: FollowOptions,
  left: AbortSignal,
): AsyncGenerator<LabEvent, void, undefined> {
  const { types, clone, signal, pace = defaultFollowPace, onState = () => {} } = options
  let { lastEventId } = options
  let { pauseMs } = pace
  const onPause = (milliseconds: number) => {
    pauseMs = milliseconds
  }
  const { stop, unlink } = link([signal, left, client.closing])
  const { silenceMs } = pace
  const fixed = { query: { types: types?.join(','), clone }, silenceMs, stop, onLife: () => onState(true), onPause }
  try {
    for (let failures = 0; !stop.aborted; failures += 1) {
      let failure: unknown
      try {
        for await (const event of readConnection(client, { ...fixed, lastEventId })) {
          failures = 0
          lastEventId = event.id
          yield event
        }
      } catch (error) {
        failure = error
      }
      onState(false)
      if (stop.aborted) break
      const delayMs = pauseAfter(failure, backoffMs(failures, pauseMs, pace.longestPauseMs))
      if (delayMs === undefined) throw failure
      await sleep(delayMs, stop).catch(() => undefined)
    }
    signal?.throwIfAborted()
  } finally {
    unlink()
  }
}

/** Milliseconds; undefined where the stream will not come back by itself. */
function pauseAfter(failure: unknown, usualMs: number): number | undefined {
  if (failure === undefined) return usualMs
  if (failure instanceof LabApiError) {
    const passes = failure.status >= 500 || failure.status === 429
    return passes ? (failure.retryAfterSeconds ?? 0) * 1000 + usualMs : undefined
  }
  return retryDelayMs(failure, 0) === undefined ? undefined : usualMs
}

/** One signal for several. A function of our own, since not every browser has `AbortSignal.any`. */
function link(signals: readonly (AbortSignal | undefined)[]): { stop: AbortSignal; unlink: () => void } {
  const controller = new AbortController()
  const abort = () => controller.abort()
  for (const signal of signals) {
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
  }
  const unlink = () => {
    for (const signal of signals) signal?.removeEventListener('abort', abort)
  }
  return { stop: controller.signal, unlink }
}
