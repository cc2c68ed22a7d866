import type { Transport, TransportRequest } from './transport.ts'

export interface FetchTransportOptions {
  /** In place of the global one. */
  fetch?: typeof globalThis.fetch | undefined
}

/** The transport for browsers, and for whatever else has `fetch`. Connections are the platform's, so `close()` has nothing to do. */
export function fetchTransport(options: FetchTransportOptions = {}): Transport {
  const exchange = async ({ method, url, headers, body, signal }: TransportRequest) => {
    // Looked up at each call, so that a replaced global one is seen; called bare, since browsers refuse it as another object's method.
    const fetch = options.fetch ?? globalThis.fetch
    const init = { method, headers, signal, redirect: 'error', cache: 'no-store', body: body ?? null } as const
    const answer = await fetch(url, init)
    return { answer, status: answer.status, header: (name: string) => answer.headers.get(name) ?? undefined }
  }
  return {
    async send(request) {
      const { answer, ...rest } = await exchange(request)
      return { ...rest, body: await answer.text() }
    },
    async stream(request) {
      const { answer, ...rest } = await exchange(request)
      return { ...rest, body: chunksOf(answer) }
    },
    async close() {},
  }
}

/** By a reader, since not every browser can iterate over a stream. */
async function* chunksOf({ body }: Response): AsyncGenerator<string, void> {
  if (body === null) return
  const reader = body.getReader()
  const decoder = new TextDecoder()
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    yield decoder.decode(part.value, { stream: true })
  }
}
