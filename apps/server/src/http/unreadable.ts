import { randomUUID } from 'node:crypto'
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ErrorCode, Error as WireError } from '@dblab/models'
import type { Logger } from '../log.ts'
import { errorTable } from './errors.ts'

/** By Node's code: the status, and what is wrong. Anything else is no HTTP. */
const reasons: Record<string, { status: number; detail: string }> = {
  HPE_HEADER_OVERFLOW: { status: 431, detail: 'the headers are too large' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, detail: 'the extensions of a chunk are too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, detail: 'the request did not come whole in time (requestTimeoutSeconds)' },
}

interface Refusal {
  status: number
  detail: string
  code?: ErrorCode
}

/** Answers in the one form of an error what Node refuses before Express sees it: without this, the answer would have no body, or there be none. */
export function answerUnreadable(server: Server, log: Logger): void {
  const refuse = (socket: Duplex, refusal: Refusal, cause: string | undefined): void => {
    const { status, detail, code = 'INVALID_REQUEST' } = refusal
    const { name, hint } = errorTable[code]
    const requestId = randomUUID()
    log.debug('unreadable request', { requestId, status, code: cause })
    const body: WireError = { code, name, hint, detail, requestId }
    socket.end(answer(status, requestId, JSON.stringify(body)))
  }
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    refuse(socket, reasons[error.code ?? ''] ?? { status: 400, detail: 'this is not an HTTP request' }, error.code)
  })
  server.on('connect', (_request, socket: Duplex) => {
    // Who hangs up meanwhile is owed nothing.
    socket.on('error', () => socket.destroy())
    refuse(socket, { status: 405, detail: 'this server is no proxy', code: 'METHOD_NOT_ALLOWED' }, 'CONNECT')
  })
  server.on('checkExpectation', ({ socket }: IncomingMessage) => {
    refuse(socket, { status: 417, detail: 'of Expect only 100-continue is understood' }, 'Expect')
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
