import type { LabEvent } from '@dblab/models'
import type { EventHub, Told } from './event-hub.ts'

export interface ReaderOptions {
  hub: EventHub
  /** Its place among the open streams: given back when it is disposed of. */
  place: Disposable
  /** True for what this reader may hear of, and wants to. */
  wants: (event: Told) => boolean
  /** False once its token is not taken any more. */
  mayGoOn: () => boolean
  /** When that comes by itself, in milliseconds since 1970; undefined for never. */
  endsAt?: number | undefined
  /** The last event that it has seen. */
  lastEventId?: LabEvent['id'] | undefined
}

/** How much is given at once, in characters, or a little more: it is all that a slow reader keeps waiting. */
const AT_ONCE = 64_000

/** One reader's place among the events. Has no buffer of its own: what it is too slow for is lost to it, which it is told. */
export class EventReader implements Disposable {
  readonly #options: ReaderOptions
  readonly #listening: Disposable
  #wake: () => void = () => {}
  /** The number of the last event that it was given; undefined where everything is to be read anew. */
  #after: number | undefined

  constructor(options: ReaderOptions) {
    const { hub, lastEventId } = options
    this.#options = options
    this.#after = lastEventId === undefined ? undefined : hub.numberOf(lastEventId)
    this.#listening = hub.listen(() => this.#wake())
  }

  get mayGoOn(): boolean {
    return this.#options.mayGoOn()
  }

  /** What comes next, as the stream has it; empty when there is nothing yet. */
  take(): string {
    const { hub, wants } = this.#options
    if (this.#after === undefined || hub.hasLost(this.#after)) {
      this.#after = hub.last
      return hub.resync()
    }
    let text = ''
    for (let event = hub.next(this.#after); event && text.length < AT_ONCE; event = hub.next(event.number)) {
      this.#after = event.number
      if (wants(event)) text += event.frame
    }
    return text
  }

  /** Until there may be something to take, the reader may not go on, the time is over, or the signal aborts. */
  async wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    const { hub, endsAt = Number.POSITIVE_INFINITY } = this.#options
    if (signal.aborted || this.#after === undefined || hub.last > this.#after) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => resolve()
    const timer = setTimeout(wake, Math.min(milliseconds, Math.max(0, endsAt - Date.now())))
    signal.addEventListener('abort', wake)
    this.#wake = wake
    await promise
    clearTimeout(timer)
    signal.removeEventListener('abort', wake)
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]()
    this.#options.place[Symbol.dispose]()
  }
}
