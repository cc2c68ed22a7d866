import { Audit } from './audit.ts'
import { type CallArguments, type CallOptions, Client, type ClientOptions } from './client.ts'
import { Clones } from './clones.ts'
import { type EventOptions, LabEvents } from './events.ts'
import type { Answer, OperationName } from './operation.ts'
import { Retrieval } from './retrieval.ts'
import type { Health, Instance } from './schema.gen.ts'
import { Snapshots } from './snapshots.ts'
import { Tokens } from './tokens.ts'
import type { Transport } from './transport.ts'

/**
 * A Database Lab, over HTTP. Made by `openLab`. To be closed when done with, by `close()` or `await using`.
 *
 * Works with older and newer servers of the same major version: fields that it doesn't know are kept, statuses that it doesn't know are
 * waited out, codes that it doesn't know are `UNKNOWN`.
 */
export class Lab implements AsyncDisposable {
  readonly clones: Clones
  readonly snapshots: Snapshots
  readonly retrieval: Retrieval
  /** For admins. */
  readonly tokens: Tokens
  /** For admins. */
  readonly audit: Audit
  readonly #client: Client

  /**
   * @param transport closed with the lab
   * @throws TypeError for an address or a token that can't be used
   */
  constructor(options: ClientOptions, transport: Transport) {
    this.#client = new Client(options, transport)
    this.clones = new Clones(this.#client)
    this.snapshots = new Snapshots(this.#client)
    this.retrieval = new Retrieval(this.#client)
    this.tokens = new Tokens(this.#client)
    this.audit = new Audit(this.#client)
  }

  /** The lab's address, without a trailing slash. */
  get url(): string {
    return this.#client.url
  }

  /** The lab at a glance: its status, disk, clones and snapshots. */
  status(options: CallOptions = {}): Promise<Instance> {
    return this.#client.call('GET /status', {}, options)
  }

  /** Whether the server answers. Needs no token. */
  health(options: CallOptions = {}): Promise<Health> {
    return this.#client.call('GET /healthz', {}, options)
  }

  /**
   * What happens in the lab, as it happens: an event for every change of a clone or a snapshot.
   *
   * The first is a `resync`: what is read after it, and changed by what follows, is up to date. It comes again whenever changes were missed.
   * Goes on behind the last event when the connection is cut or the server is started again, however long that takes. Ends with a `break`,
   * `return()`, and when the lab is closed.
   *
   * @throws LabApiError, such as UNAUTHORIZED once the token ends; LabConnectionError for an address where no lab will be; the signal's reason; TypeError for a
   * lastEventId that can't be sent
   * @example
   * for await (const { type, clone } of lab.events({ types: ['clone'] })) {
   *   if (type === 'resync') show(await lab.clones.list())
   *   else if (clone) console.log(clone.id, clone.status.code)
   * }
   */
  events(options: EventOptions = {}): LabEvents {
    return new LabEvents(this.#client, options)
  }

  /**
   * Any operation of the API as it is, by its name: the answer at once, nothing waited for.
   *
   * @throws LabApiError, LabConnectionError, LabTimeoutError, the signal's reason
   * @example
   * const clone = await lab.call('GET /clone/{id}', { path: { id: 'nightly' }, query: { wait: 30 } })
   */
  call<N extends OperationName>(...args: CallArguments<N>): Promise<Answer<N>> {
    return this.#client.call(...args)
  }

  /** Ends the events, and lets go of the connections once what is under way has ended. Twice is fine. */
  close(): Promise<void> {
    return this.#client.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Its address alone: what is printed or logged holds no token. */
  toJSON(): { url: string } {
    return { url: this.url }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `Lab { url: '${this.url}' }`
  }
}
