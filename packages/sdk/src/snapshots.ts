import type { CallOptions, Client } from './client.ts'
import { within } from './deadline.ts'
import type { CreateSnapshotRequest, Snapshot, UpdateSnapshotRequest } from './schema.gen.ts'
import { WAIT_TIMEOUT_MS } from './timeouts.ts'

/** The lab's snapshots: `lab.snapshots`. */
export class Snapshots {
  readonly #client: Client

  /** Made by a Lab. */
  constructor(client: Client) {
    this.#client = client
  }

  /** Newest data first: the first is what a clone gets that names none. */
  list(options: CallOptions = {}): Promise<Snapshot[]> {
    return this.#client.call('GET /snapshots', {}, options)
  }

  /**
   * Takes a snapshot, of the lab's own data or of a running clone (`cloneId`); resolves when it can be cloned. Not sent again after a
   * failure: it could be taken twice.
   *
   * @param options `timeoutMs` is 300,000 where left out
   * @throws LabApiError CLONE_NOT_FOUND, CLONE_NOT_READY, SNAPSHOT_ALREADY_EXISTS, NOT_ENOUGH_DISK_SPACE; LabTimeoutError
   */
  async create(request: CreateSnapshotRequest = {}, options: CallOptions = {}): Promise<Snapshot> {
    const deadline = this.#client.deadline('taking a snapshot', options, WAIT_TIMEOUT_MS)
    return within(deadline, () => this.#client.send(deadline, 'POST /snapshot', { body: request }, options))
  }

  /**
   * Protects it, or lets it go; changes its message. What is left out stays.
   *
   * @throws LabApiError SNAPSHOT_NOT_FOUND
   */
  update(id: string, change: UpdateSnapshotRequest, options: CallOptions = {}): Promise<Snapshot> {
    return this.#client.call('PATCH /snapshot/{id}', { path: { id }, body: change }, options)
  }

  /** @throws LabApiError SNAPSHOT_NOT_FOUND, SNAPSHOT_PROTECTED, and SNAPSHOT_IN_USE, naming the clones, while any stand on it */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#client.call('DELETE /snapshot/{id}', { path: { id } }, options)
  }
}
