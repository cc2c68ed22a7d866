import type { Client } from './client.ts'
import { LabEvents } from './events.ts'
import type { LabEvent } from './schema.gen.ts'

export interface WatchPace {
  /** How long the stream may take to begin. One that does not is held back by a proxy, and of no use. */
  beginMs: number
  /** For how long nobody tries again after a stream that was refused or did not begin: an older server, a proxy. */
  restMs: number
}

type WatchState = 'opening' | 'open' | 'shut'

/**
 * One stream of events for all who wait for clones of a lab, open while somebody does. It says when to look, and never what there is: an event may
 * be older than what its reader has been told since.
 */
export class CloneWatch {
  readonly #client: Client
  readonly #pace: WatchPace
  readonly #waiters = new Set<CloneWaiter>()
  #events: LabEvents | undefined
  #state: WatchState = 'shut'
  #restsUntil = 0

  constructor(client: Client, pace: WatchPace) {
    this.#client = client
    this.#pace = pace
  }

  /** To be ended by `leave()`. */
  join(cloneId: string): CloneWaiter {
    const waiter: CloneWaiter = new CloneWaiter(
      cloneId,
      () => this.#stateNow(),
      () => this.#leave(waiter),
    )
    this.#waiters.add(waiter)
    if (!this.#events && performance.now() >= this.#restsUntil) void this.#follow()
    return waiter
  }

  #leave(waiter: CloneWaiter): void {
    this.#waiters.delete(waiter)
    if (this.#waiters.size === 0) this.#end()
  }

  /** Never rejects: nobody awaits it. */
  async #follow(): Promise<void> {
    let hasBegun = false
    const events: LabEvents = new LabEvents(this.#client, {
      types: ['clone'],
      onState: (isOpen) => {
        if (this.#events !== events) return
        // Of a new stream, the first event says so.
        if (!isOpen) this.#turn('shut')
        else if (hasBegun) this.#turn('open')
      },
    })
    this.#events = events
    this.#state = 'opening'
    const late = setTimeout(() => {
      if (!hasBegun && this.#events === events) this.#rest()
    }, this.#pace.beginMs)
    try {
      for await (const event of events) {
        hasBegun = true
        if (this.#stateNow() === 'open') for (const waiter of this.#waiters) waiter.hear(event)
        else this.#turn('open')
      }
    } catch {
      // Refused, or there is no stream to be had, for whatever reason: whoever waits asks, and is told what concerns it.
      if (this.#events === events) this.#rest()
    } finally {
      clearTimeout(late)
    }
  }

  #rest(): void {
    this.#restsUntil = performance.now() + this.#pace.restMs
    this.#end()
  }

  #end(): void {
    const events = this.#events
    this.#events = undefined
    this.#turn('shut')
    void events?.return()
  }

  /** As a function, since what was assigned before something was awaited says nothing. */
  #stateNow(): WatchState {
    return this.#state
  }

  /** Whichever way it turns, something may have been missed. */
  #turn(state: 'open' | 'shut'): void {
    if (state === this.#state) return
    this.#state = state
    for (const waiter of this.#waiters) waiter.wake()
  }
}

/** Somebody who waits for one clone. */
export class CloneWaiter {
  /** The status that it was told last. */
  seen: string | undefined
  readonly #cloneId: string
  readonly #stateOf: () => WatchState
  readonly #leave: () => void
  #resolve: (() => void) | undefined
  #isDue = false

  /** Made by a CloneWatch. */
  constructor(cloneId: string, stateOf: () => WatchState, leave: () => void) {
    this.#cloneId = cloneId
    this.#stateOf = stateOf
    this.#leave = leave
  }

  /** True while it will be told when to look. */
  get isTold(): boolean {
    return this.#stateOf() === 'open'
  }

  /** Until it is known whether it will be told. */
  async begun(signal: AbortSignal): Promise<void> {
    while (this.#stateOf() === 'opening') await this.#next(signal, undefined)
    // What was said so far is older than the look that follows.
    this.#isDue = false
  }

  /** Until there may be something to see, or the time is over. */
  async changed(timeoutMs: number, signal: AbortSignal): Promise<void> {
    if (!this.#isDue) await this.#next(signal, timeoutMs)
    this.#isDue = false
  }

  hear({ type, subject, action, clone }: LabEvent): void {
    const isNews = action === 'deleted' || clone?.status.code !== this.seen
    if (type === 'resync' || (subject === this.#cloneId && isNews)) this.wake()
  }

  wake(): void {
    if (this.#resolve) this.#resolve()
    else this.#isDue = true
  }

  leave(): void {
    this.#leave()
  }

  /** @throws the signal's reason as soon as it aborts */
  #next(signal: AbortSignal, timeoutMs: number | undefined): Promise<void> {
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => () => {
        this.#resolve = undefined
        clearTimeout(timer)
        signal.removeEventListener('abort', abort)
        settle()
      }
      const abort = end(() => reject(signal.reason))
      const timer = timeoutMs === undefined ? undefined : setTimeout(end(resolve), timeoutMs)
      this.#resolve = end(resolve)
      signal.addEventListener('abort', abort)
    })
  }
}
