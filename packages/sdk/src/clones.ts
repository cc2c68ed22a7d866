import type { CallOptions, Client } from './client.ts'
import { CloneHandle, deleteClone } from './clone-handle.ts'
import { type CreateCloneInput, randomHex, toCreateRequest } from './clone-input.ts'
import { defaultPace, type Pace, type Waits, waitUntilReady } from './clone-wait.ts'
import { CloneWatch } from './clone-watch.ts'
import { Deadline, withGrace, within } from './deadline.ts'
import { isLabApiError } from './errors.ts'
import type { Input } from './operation.ts'
import type { Clone } from './schema.gen.ts'
import { WAIT_TIMEOUT_MS } from './timeouts.ts'

export interface CreateCloneOptions extends CallOptions {
  /**
   * Left out: a random one, so that the SDK's own retries never make two clones. One of your own makes your retries safe as well: the
   * same key with the same request finds the same clone for 24 hours. It needs a `db.password` of your own, and `deleteAt` in place of
   * `ttl`. After a failure the clone is then kept, since you can come back for it.
   */
  idempotencyKey?: string | undefined
  /** Leaves a clone that did not become ready where it is, for a look at what went wrong. */
  keepOnFailure?: boolean | undefined
}

interface MakeOptions {
  keepOnFailure: boolean
  retries: number | undefined
}

/** Which clones to list; what is left out does not matter. */
export type CloneFilter = Omit<NonNullable<Input<'GET /clones'>['query']>, 'limit' | 'after'>

/** The lab's clones: `lab.clones`. */
export class Clones {
  readonly #client: Client
  readonly #waits: Waits

  /** Made by a Lab. */
  constructor(client: Client, pace: Pace = defaultPace) {
    this.#client = client
    this.#waits = { pace, watch: new CloneWatch(client, pace) }
  }

  /**
   * Makes a clone; resolves when it is ready to accept connections.
   *
   * Either there is a ready clone in the end, or none: when it fails, takes longer than `timeoutMs`, or is aborted, what was made is
   * deleted before this rejects (unless `keepOnFailure`). For that the answer to a request under way is waited for, up to 5 seconds;
   * a server that doesn't answer even then may be left with a clone. A `ttl` removes that too.
   *
   * @param options `timeoutMs` is 300,000 where left out
   * @throws CloneFailedError when it becomes FATAL; LabTimeoutError; LabApiError; LabConnectionError; the signal's reason; TypeError for
   * input that can't be sent; AggregateError of the failure and of a second one, when the clone could not be deleted after the first
   * @example
   * await using clone = await lab.clones.create({ project: 'shop', ttl: '2h' })
   */
  async create(input: CreateCloneInput = {}, options: CreateCloneOptions = {}): Promise<CloneHandle> {
    const { idempotencyKey, keepOnFailure = idempotencyKey !== undefined } = options
    requireOwnPassword(input, idempotencyKey)
    const body = toCreateRequest(input)
    const request = { body, header: { 'Idempotency-Key': idempotencyKey ?? randomHex(16) } }
    const deadline = this.#client.deadline('creating a clone', options, WAIT_TIMEOUT_MS)
    const clone = await within(deadline, () =>
      this.#make(request, deadline, { keepOnFailure, retries: options.retries }),
    )
    return new CloneHandle(this.#client, clone, this.#waits, body.db.password)
  }

  /** The clones there are, oldest first. Their handles know no password. */
  async list(filter: CloneFilter = {}, options: CallOptions = {}): Promise<CloneHandle[]> {
    const clones = await this.#client.call('GET /clones', { query: filter }, options)
    return clones.map((clone) => new CloneHandle(this.#client, clone, this.#waits))
  }

  /** @throws LabApiError CLONE_NOT_FOUND */
  async get(id: string, options: CallOptions = {}): Promise<CloneHandle> {
    return new CloneHandle(
      this.#client,
      await this.#client.call('GET /clone/{id}', { path: { id } }, options),
      this.#waits,
    )
  }

  /**
   * Deletes a clone; resolves when it is gone.
   *
   * @param options `timeoutMs` is 300,000 where left out; after a timeout or an abort the deletion goes on
   * @throws LabApiError CLONE_NOT_FOUND when there is none (also when a first request that deleted it was cut and sent again),
   * CLONE_PROTECTED; CloneFailedError when the deletion failed; LabTimeoutError
   */
  delete(id: string, options: CallOptions = {}): Promise<void> {
    return deleteClone(this.#client, id, this.#waits, options)
  }

  async #make(
    request: Input<'POST /clone'>,
    deadline: Deadline,
    { keepOnFailure, retries }: MakeOptions,
  ): Promise<Clone> {
    const graceMs = keepOnFailure ? 0 : this.#waits.pace.graceMs
    const made = await withGrace(deadline.signal, graceMs, (cut) =>
      this.#client.send(deadline, 'POST /clone', request, { retries, cut }),
    )
    try {
      deadline.signal.throwIfAborted()
      return await waitUntilReady(this.#client, made, { deadline, ...this.#waits, retries })
    } catch (error) {
      if (!keepOnFailure) await this.#discard(made, error)
      throw error
    }
  }

  /** Sees that what did not become ready will be gone; does not wait until it is. */
  async #discard({ id, protected: isProtected }: Clone, failure: unknown): Promise<void> {
    const path = { id }
    const deadline = new Deadline(`deleting clone ${id}`, this.#waits.pace.discardMs)
    try {
      await within(deadline, async () => {
        if (isProtected) await this.#client.send(deadline, 'PATCH /clone/{id}', { path, body: { protected: false } })
        await this.#client.send(deadline, 'DELETE /clone/{id}', { path })
      })
    } catch (error) {
      if (isLabApiError(error, 'CLONE_NOT_FOUND')) return
      throw new AggregateError(
        [failure, error],
        `Clone ${id} did not become ready, and could not be deleted: it may be left behind`,
      )
    }
  }
}

/** The second call of a key finds the first one's clone, which has the first one's password. */
function requireOwnPassword({ db }: CreateCloneInput, idempotencyKey: string | undefined): void {
  if (idempotencyKey === undefined) return
  if (db?.password === undefined) throw new TypeError('an idempotencyKey of your own needs a db.password of your own')
  if (!/^[\x21-\x7e]{1,200}$/.test(idempotencyKey))
    throw new TypeError('idempotencyKey must be 1 to 200 visible ASCII characters')
}
