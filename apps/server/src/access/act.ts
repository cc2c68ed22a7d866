import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Caller } from './caller.ts'

/** What a request is about: the audit log's view of it. Filled in by whoever comes to know. */
export interface Act {
  /** Undefined where no token of this lab was sent. */
  caller: Caller | undefined
  /** The operation's id in the document. */
  operation: string
  clone: string
  snapshot: string
  token: string
  address: string
  requestId: string
}

/** What the path of a request names, if it is there: anything can be sent in its place, a password too. */
export function targetOf(
  { clones, snapshots, tokens }: Catalogue,
  noun: string,
  id: string | undefined,
): { clone: string; snapshot: string; token: string } {
  const known = (store: { get(id: string): unknown }) => (id !== undefined && store.get(id) !== undefined ? id : '')
  return {
    clone: noun === 'clone' ? known(clones) : '',
    snapshot: noun === 'snapshot' ? known(snapshots) : '',
    token: noun === 'token' ? known(tokens) : '',
  }
}
