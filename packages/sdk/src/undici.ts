import { Agent, request } from 'undici'
import type { Transport, TransportRequest } from './transport.ts'

/** How long a TCP and TLS connection may take, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000

export interface UndiciTransportOptions {
  /** Certificates to trust in place of the system's, as PEM: for a lab behind a CA of one's own. */
  ca?: string | Buffer | (string | Buffer)[] | undefined
}

/** The transport for Node: connections of its own, kept alive between requests until `close()`. */
export function undiciTransport({ ca }: UndiciTransportOptions = {}): Transport {
  const agent = new Agent({
    connect: { timeout: CONNECT_TIMEOUT_MS, ...(ca !== undefined && { ca }) },
    // The caller's deadline is in the signal. undici's own five minutes would cut a longer one short.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const exchange = async ({ method, url, headers, body, signal }: TransportRequest) => {
    const answer = await request(url, { dispatcher: agent, method, headers, signal, body: body ?? null })
    const header = (name: string) => {
      const value = answer.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    }
    return { status: answer.statusCode, header, body: answer.body }
  }
  let closed: Promise<void> | undefined
  return {
    async send(sent) {
      const answer = await exchange(sent)
      return { ...answer, body: await answer.body.text() }
    },
    async stream(sent) {
      const answer = await exchange(sent)
      return { ...answer, body: answer.body.setEncoding('utf8') }
    },
    close() {
      closed ??= agent.close()
      return closed
    },
  }
}
