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

/** What the path of a request names, if it looks like an id at all: anything can be sent there. */
export function targetOf(noun: string, id: string | undefined): { clone: string; snapshot: string; token: string } {
  const known = id !== undefined && /^[a-z0-9-]{1,63}$/.test(id) ? id : ''
  return {
    clone: noun === 'clone' ? known : '',
    snapshot: noun === 'snapshot' ? known : '',
    token: noun === 'token' ? known : '',
  }
}
