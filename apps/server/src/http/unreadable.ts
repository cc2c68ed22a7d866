import { randomUUID } from 'node:crypto'
import { type Server, STATUS_CODES } from 'node:http'
import type { Error as WireError } from '@dblab/models'
import type { Logger } from '../log.ts'
import { errorTable } from './errors.ts'

/** By Node's code: the status, and what is wrong. Anything else is no HTTP. */
const reasons: Record<string, { status: number; detail: string }> = {
  HPE_HEADER_OVERFLOW: { status: 431, detail: 'the headers are too large' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, detail: 'the extensions of a chunk are too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, detail: 'the request did not come whole in time (requestTimeoutSeconds)' },
}

/** Answers in the one form of an error what Node refuses before Express sees it: without this, the answer would have no body. */
export function answerUnreadable(server: Server, log: Logger): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const { status, detail } = reasons[error.code ?? ''] ?? { status: 400, detail: 'this is not an HTTP request' }
    const { name, hint } = errorTable.INVALID_REQUEST
    const requestId = randomUUID()
    log.debug('unreadable request', { requestId, status, code: error.code })
    const body: WireError = { code: 'INVALID_REQUEST', name, hint, detail, requestId }
    socket.end(answer(status, requestId, JSON.stringify(body)))
  })
}

function answer(status: number, requestId: string, body: string): string {
  const headers = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    `X-Request-Id: ${requestId}`,
  ]
  return `${headers.join('\r\n')}\r\n\r\n${body}`
}
