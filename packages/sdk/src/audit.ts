import type { CallOptions, Client } from './client.ts'
import type { Input } from './operation.ts'
import type { AuditEntry } from './schema.gen.ts'

/** Which entries: `limit` (100 where left out), `before` an id, of one `clone`, `tokenName` or `operation`. */
export type AuditFilter = NonNullable<Input<'GET /audit'>['query']>

/** Who did what, when and from where, for admins: `lab.audit`. */
export class Audit {
  readonly #client: Client

  /** Made by a Lab. */
  constructor(client: Client) {
    this.#client = client
  }

  /**
   * Newest first. The next page is `before` the last one's id.
   *
   * @example
   * const page = await lab.audit.list({ clone: 'nightly' })
   * const next = await lab.audit.list({ clone: 'nightly', before: page.at(-1)?.id })
   */
  list(filter: AuditFilter = {}, options: CallOptions = {}): Promise<AuditEntry[]> {
    return this.#client.call('GET /audit', { query: filter }, options)
  }
}
