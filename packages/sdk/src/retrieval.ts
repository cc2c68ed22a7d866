import type { CallOptions, Client } from './client.ts'
import { sleep, within } from './deadline.ts'
import { RefreshFailedError } from './errors.ts'
import type { RetrievalRun, Retrieval as RetrievalView } from './schema.gen.ts'

/** How often a run that is waited for is looked at. */
const LOOK_EVERY_MS = 1000

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
      for (;;) {
        const { current, runs } = await this.#client.send(deadline, 'GET /retrieval', {}, options)
        const ended = runs.find((run) => run.id === id)
        if (ended?.outcome === 'DONE') return ended
        if (ended) throw new RefreshFailedError(ended)
        if (current?.id !== id) throw new TypeError('the lab knows of no such run any more')
        await sleep(LOOK_EVERY_MS, deadline.signal)
      }
    })
  }
}
