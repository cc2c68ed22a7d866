import type { CallOptions, Client } from './client.ts'
import { toUpdateRequest, type UpdateCloneInput } from './clone-input.ts'
import { type Waits, waitUntilGone, waitUntilReady } from './clone-wait.ts'
import { within } from './deadline.ts'
import { CloneFailedError, isLabApiError } from './errors.ts'
import type { Clone, CloneDatabase, CloneProfile, CloneStatus, CloneStepTime } from './schema.gen.ts'
import { WAIT_TIMEOUT_MS } from './timeouts.ts'

/**
 * A clone, and what can be done with it. Has the fields of a Clone as they were last seen; `refresh()` looks again.
 *
 * With `await using` the clone is deleted at the end of the block.
 *
 * @example
 * await using clone = await lab.clones.create({ ttl: '1h' })
 * const pool = new pg.Pool({ connectionString: clone.connectionString() })
 */
export class CloneHandle implements Clone, AsyncDisposable {
  readonly #client: Client
  readonly #waits: Waits
  readonly #password: string | undefined
  #clone: Clone

  /** Made by `lab.clones`. */
  constructor(client: Client, clone: Clone, waits: Waits, password?: string) {
    this.#client = client
    this.#clone = clone
    this.#waits = waits
    this.#password = password
  }

  get id(): string {
    return this.#clone.id
  }
  get status(): CloneStatus {
    return this.#clone.status
  }
  get project(): string {
    return this.#clone.project
  }
  /** Id of the snapshot that it was made from, or last reset to. */
  get snapshot(): string {
    return this.#clone.snapshot
  }
  /** Where its Postgres listens. Its `password` is always empty: see `connectionString()`. */
  get db(): CloneDatabase {
    return this.#clone.db
  }
  get protected(): boolean {
    return this.#clone.protected
  }
  /** When it deletes itself, ISO 8601 in UTC; empty for never. */
  get deleteAt(): string {
    return this.#clone.deleteAt
  }
  get name(): string {
    return this.#clone.name
  }
  /** Whose clone it is: a label, not a database role. */
  get username(): string {
    return this.#clone.username
  }
  /** ISO 8601 in UTC. */
  get createdAt(): string {
    return this.#clone.createdAt
  }
  /** Bytes that it holds alone. */
  get cloneSize(): number {
    return this.#clone.cloneSize
  }
  /** Seconds from the request to ready. */
  get cloningTime(): number {
    return this.#clone.cloningTime
  }
  /** What its Postgres is tuned for. */
  get profile(): CloneProfile {
    // An older server knows no other.
    return this.#clone.profile ?? 'dev'
  }
  /** Where the time of its creation or its last reset went. */
  get steps(): CloneStepTime[] {
    return this.#clone.steps ?? []
  }
  /** When its last reset failed and left it with the data from before, ISO 8601 in UTC; empty when it did not. */
  get resetFailedAt(): string {
    // An older server does not say.
    return this.#clone.resetFailedAt ?? ''
  }
  /** A `postgresql://` URI without a password. */
  get connStr(): string {
    return this.#clone.db.connStr
  }

  /**
   * A `postgresql://` URI with the password: the one given here, else the one that this handle was created with. A handle from `get` or
   * `list` knows none; then it is `connStr`, and `PGPASSWORD` or `.pgpass` has to help.
   */
  connectionString(password: string | undefined = this.#password): string {
    if (password === undefined) return this.connStr
    const url = new URL(this.connStr)
    // The setter alone would leave percent signs as they are, and a reader would decode what was none.
    url.password = encodeURIComponent(password)
    return url.href
  }

  /** The clone as it is now. @throws LabApiError CLONE_NOT_FOUND when it is gone */
  async refresh(options: CallOptions = {}): Promise<this> {
    this.#clone = await this.#client.call('GET /clone/{id}', { path: { id: this.id } }, options)
    return this
  }

  /** Changes labels, protection or lifetime. Not sent again after a failure. */
  async update(changes: UpdateCloneInput, options: CallOptions = {}): Promise<this> {
    const input = { path: { id: this.id }, body: toUpdateRequest(changes) }
    this.#clone = await this.#client.call('PATCH /clone/{id}', input, options)
    return this
  }

  /** Delete, reset and its own `deleteAt` are refused from now on. */
  protect(options?: CallOptions): Promise<this> {
    return this.update({ protected: true }, options)
  }

  unprotect(options?: CallOptions): Promise<this> {
    return this.update({ protected: false }, options)
  }

  /**
   * Gives it its snapshot's data again, or another snapshot's, at the same host, port, user and password. Open connections are cut.
   * Resolves when it is OK again. The request that begins it is not sent again after a failure.
   *
   * @param to `snapshot`: a snapshot's id, or a timestamp
   * @param options `timeoutMs` is 300,000 where left out; after a timeout or an abort the reset goes on
   * @throws CloneFailedError when it ends FATAL, or still has the data from before; LabApiError CLONE_PROTECTED, CLONE_NOT_READY, SNAPSHOT_NOT_FOUND; LabTimeoutError
   */
  async reset(to: { snapshot?: string } = {}, options: CallOptions = {}): Promise<this> {
    const deadline = this.#client.deadline(`resetting clone ${this.id}`, options, WAIT_TIMEOUT_MS)
    const wait = { ...this.#waits, deadline, retries: options.retries }
    await within(deadline, async () => {
      this.#clone = await this.#client.send(
        deadline,
        'POST /clone/{id}/reset',
        { path: { id: this.id }, body: to },
        options,
      )
      this.#clone = await waitUntilReady(this.#client, this.#clone, wait)
    })
    if (this.resetFailedAt !== '') throw new CloneFailedError(this.#clone, 'was not reset')
    return this
  }

  /**
   * Deletes it; resolves when it is gone. Gone already is fine.
   *
   * @param options `timeoutMs` is 300,000 where left out; after a timeout or an abort the deletion goes on
   * @throws LabApiError CLONE_PROTECTED; CloneFailedError when the deletion failed; LabTimeoutError
   */
  async delete(options: CallOptions = {}): Promise<void> {
    try {
      await deleteClone(this.#client, this.id, this.#waits, options)
    } catch (error) {
      if (!isLabApiError(error, 'CLONE_NOT_FOUND')) throw error
    }
  }

  /** What `await using` does at the end of the block: deletes the clone. A protected one is left standing: that is what it asked for. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.delete()
    } catch (error) {
      if (!isLabApiError(error, 'CLONE_PROTECTED')) throw error
    }
  }

  /** The clone as the server last answered it, with fields that this version does not know. Never a password. */
  toJSON(): Clone {
    return this.#clone
  }

  [Symbol.for('nodejs.util.inspect.custom')](): Clone {
    return this.#clone
  }
}

/** @throws LabApiError CLONE_NOT_FOUND when there was none to begin with */
export async function deleteClone(client: Client, id: string, waits: Waits, options: CallOptions): Promise<void> {
  const deadline = client.deadline(`deleting clone ${id}`, options, WAIT_TIMEOUT_MS)
  await within(deadline, async () => {
    const clone = await client.send(deadline, 'DELETE /clone/{id}', { path: { id } }, options)
    await waitUntilGone(client, clone, { ...waits, deadline, retries: options.retries })
  })
}
