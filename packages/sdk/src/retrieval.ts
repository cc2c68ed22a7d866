import type { CallOptions, Client } from './client.ts'
import { type Deadline, sleep, within } from './deadline.ts'
import { RefreshFailedError } from './errors.ts'
import { LabEvents } from './events.ts'
import type { RetrievalRun, Retrieval as RetrievalView } from './schema.gen.ts'

/** However quiet the events are, a run is looked at so often; and so often on a server that has none. */
const LOOK_EVERY_MS = 30_000
const POLL_EVERY_MS = 1000

/** How data comes into the lab: `lab.retrieval`. */
export class Retrieval {
  readonly #client: Client

  /** Made by a Lab. */
  constructor(client: Client) {
    this.#client = client
  }

  /** The sources, the schedule, the run under way and how the last ones ended. */
  get(options: CallOptions = {}): Promise<RetrievalView> {
    return this.#client.call('GET /retrieval', {}, options)
  }

  /**
   * Begins to bring the data in anew, and resolves once it has begun. For admins. Not sent again after a failure.
   *
   * @throws LabApiError NO_SOURCE, REFRESH_RUNNING
   * @example
   * const run = await lab.retrieval.refresh()
   * const { snapshot } = await lab.retrieval.waitUntilDone(run)
   */
  refresh(options: CallOptions = {}): Promise<RetrievalRun> {
    return this.#client.call('POST /refresh', {}, { ...options, retries: 0 })
  }

  /**
   * Stops the run under way; resolves once nothing of it runs any more. For admins.
   *
   * @throws LabApiError REFRESH_NOT_RUNNING
   */
  cancel(options: CallOptions = {}): Promise<RetrievalRun> {
    return this.#client.call('DELETE /refresh', {}, { ...options, retries: 0 })
  }

  /**
   * The run once it has published a snapshot.
   *
   * @param options `timeoutMs` has no limit where left out: data of terabytes takes hours
   * @throws RefreshFailedError when it failed or was stopped; LabTimeoutError
   */
  async waitUntilDone({ id }: Pick<RetrievalRun, 'id'>, options: CallOptions = {}): Promise<RetrievalRun> {
    const deadline = this.#client.deadline('refreshing the data', options, Number.POSITIVE_INFINITY)
    return within(deadline, async () => {
      const ends = new RunEnds(this.#client, id, deadline)
      try {
        for (;;) {
          const ended = await this.#endOf(id, deadline, options)
          if (ended?.outcome === 'DONE') return ended
          if (ended) throw new RefreshFailedError(ended)
          await ends.next()
        }
      } finally {
        await ends.close()
      }
    })
  }

  /** Undefined while it runs. */
  async #endOf(id: string, deadline: Deadline, options: CallOptions): Promise<RetrievalRun | undefined> {
    const { current, runs } = await this.#client.send(deadline, 'GET /retrieval', {}, options)
    const ended = runs.find((run) => run.id === id)
    if (!ended && current?.id !== id) throw new TypeError('the lab knows of no such run any more')
    return ended
  }
}

/** Reasons to look whether a run has ended. */
class RunEnds {
  readonly #id: string
  readonly #events: LabEvents
  readonly #signal: AbortSignal
  #next: Promise<boolean>
  #pauseMs = LOOK_EVERY_MS
  #isDeaf = false

  constructor(client: Client, id: string, { signal }: Deadline) {
    this.#id = id
    this.#signal = signal
    this.#events = new LabEvents(client, { types: ['retrieval'], signal })
    this.#next = this.#told()
  }

  async next(): Promise<void> {
    const rest = new AbortController()
    const pause = sleep(this.#pauseMs, AbortSignal.any([this.#signal, rest.signal])).then(() => false)
    try {
      if (await Promise.race([this.#next, pause])) this.#next = this.#told()
    } finally {
      rest.abort()
      await pause.catch(() => undefined)
    }
    this.#signal.throwIfAborted()
  }

  async close(): Promise<void> {
    await this.#events.return()
  }

  /** True once there is a reason to look: something was told that may be the run's end, or nothing more will be told. */
  async #told(): Promise<boolean> {
    // From then on it is asked again and again.
    if (this.#isDeaf) return new Promise(() => undefined)
    try {
      for (;;) {
        const { done, value } = await this.#events.next()
        if (done || !value) break
        const { type, subject, retrieval } = value
        if (type === 'resync' || (subject === this.#id && retrieval?.outcome !== 'RUNNING')) return true
      }
    } catch {
      // Refused, or there is no stream to be had, for whatever reason: who asks instead is told what concerns it.
    }
    this.#isDeaf = true
    this.#pauseMs = POLL_EVERY_MS
    return true
  }
}
