import { createConnection } from 'node:net'
import { join } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import type { LabAddress } from './connect.ts'

/** SSLRequest, which may come before anything else (PostgreSQL manual, "Message Formats"): its length, and a number that is no version. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/**
 * Whether the server takes connections at all. It is asked for TLS, to which it says yes or no before anybody logs in: that costs it a
 * process of a millisecond, and leaves nothing in its log. One that runs, and was stopped by a signal or hangs, says nothing.
 *
 * @throws ProvisionError ABORTED
 */
export function answers({ socketDir, port }: LabAddress, timeoutMs: number, aborting?: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (aborting?.aborted) return reject(stopped(aborting))
    const socket = createConnection(join(socketDir, `.s.PGSQL.${port}`))
    let answered = false
    const end = () => socket.destroy()
    const overdue = setTimeout(end, timeoutMs)
    aborting?.addEventListener('abort', end, { once: true })
    socket.once('connect', () => socket.write(SSL_REQUEST))
    socket.once('data', () => {
      answered = true
      end()
    })
    // Whatever the system says of the socket, nobody takes connections there.
    socket.once('error', (error) => isSystemError(error) || reject(error))
    socket.once('close', () => {
      clearTimeout(overdue)
      aborting?.removeEventListener('abort', end)
      if (!answered && aborting?.aborted) reject(stopped(aborting))
      else resolve(answered)
    })
  })
}

function stopped({ reason }: AbortSignal): ProvisionError {
  return new ProvisionError('ABORTED', 'the question whether Postgres answers was stopped on request', {
    cause: reason,
  })
}
