import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Transport } from '@dblab/sdk'

/**
 * To the lab's own server over TLS: the one that shows this certificate, whatever name that has, since it is called by its address here.
 *
 * @param pem the lab's certificate, its chain after it
 */
export function pinnedTransport(pem: Buffer): Transport {
  const own = new X509Certificate(pem)
  const tls = {
    ca: pem,
    // The file need not go up to a root.
    allowPartialTrustChain: true,
    checkServerIdentity: (_host: string, { raw }: { raw: Buffer }) =>
      raw.equals(own.raw) ? undefined : new Error('the server shows another certificate than tls.certFile'),
  }
  return {
    async send({ method, url, headers, body, signal }) {
      const request = httpsRequest(url, { ...tls, method, headers, signal })
      request.end(body)
      const [answer] = (await once(request, 'response', { signal })) as [IncomingMessage]
      return {
        status: answer.statusCode ?? 0,
        header: (name) => {
          const value = answer.headers[name]
          return Array.isArray(value) ? value.join(', ') : value
        },
        body: await text(answer),
      }
    },
    async close() {},
  }
}
