import { createParser } from 'eventsource-parser'
import type { Client } from './client.ts'
import type { LabEvent } from './schema.gen.ts'

export interface ConnectionOptions {
  /** `types` and `clone`, as the API takes them. */
  query: { types: string | undefined; clone: string | undefined }
  lastEventId: string | undefined
  /** A stream that is silent for so long is dead. */
  silenceMs: number
  /** Ends it. */
  stop: AbortSignal
  /** Told whenever something comes, be it a comment. */
  onLife: () => void
  /** Told what the server wants the pause to be before the stream is opened anew. */
  onPause: (milliseconds: number) => void
}

/** The longest event that is taken, in characters: those of a lab have some thousand. */
const LONGEST_EVENT = 10_000_000

/**
 * The events of one connection. Ends when that does, however it does.
 *
 * @throws what `client.stream` throws, when it can't be opened; SyntaxError for what is no event of a lab
 */
export async function* readConnection(
  client: Client,
  options: ConnectionOptions,
): AsyncGenerator<LabEvent, void, undefined> {
  const { query, lastEventId, onLife, onPause } = options
  const life = new Life(options)
  const events: LabEvent[] = []
  const parser = createParser({
    onEvent: ({ data }) => events.push(JSON.parse(data) as LabEvent),
    onRetry: onPause,
    maxBufferSize: LONGEST_EVENT,
  })
  try {
    const input = { query, header: { 'Last-Event-ID': lastEventId } }
    const chunks = await life.during(() => client.stream('/events', input, life.signal))
    const iterator = chunks?.[Symbol.asyncIterator]()
    while (iterator) {
      // Cut by the server or by something in between: that is how streams end.
      const part = await life.during(() => iterator.next()).catch(() => undefined)
      if (!part || part.done) return
      onLife()
      parser.feed(part.value)
      yield* events.splice(0)
    }
  } finally {
    life.end()
  }
}

/** Ends a connection that is dead, or that nobody wants any more. */
class Life {
  readonly #controller = new AbortController()
  readonly #stop: AbortSignal
  readonly #silenceMs: number

  constructor({ stop, silenceMs }: Pick<ConnectionOptions, 'stop' | 'silenceMs'>) {
    this.#stop = stop
    this.#silenceMs = silenceMs
    if (stop.aborted) this.end()
    else stop.addEventListener('abort', this.#follow)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Something that the other side has to do; undefined when it does not in time. That its reader takes time does not count. */
  async during<T>(work: () => Promise<T>): Promise<T | undefined> {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.#controller.abort()
    }, this.#silenceMs)
    try {
      return await work()
    } catch (error) {
      if (isLate) return undefined
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  end(): void {
    this.#controller.abort()
    this.#stop.removeEventListener('abort', this.#follow)
  }

  readonly #follow = () => this.#controller.abort()
}
