import type { Transport } from './transport.ts'

export interface FetchTransportOptions {
  /** In place of the global one. */
  fetch?: typeof globalThis.fetch | undefined
}

/** The transport for browsers, and for whatever else has `fetch`. Connections are the platform's, so `close()` has nothing to do. */
export function fetchTransport(options: FetchTransportOptions = {}): Transport {
  return {
    async send({ method, url, headers, body, signal }) {
      // Looked up at each call, so that a replaced global one is seen; called bare, since browsers refuse it as another object's method.
      const fetch = options.fetch ?? globalThis.fetch
      const init = { method, headers, signal, redirect: 'error', cache: 'no-store', body: body ?? null } as const
      const answer = await fetch(url, init)
      return {
        status: answer.status,
        header: (name) => answer.headers.get(name) ?? undefined,
        body: await answer.text(),
      }
    },
    async close() {},
  }
}
