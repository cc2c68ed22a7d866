import { once } from 'node:events'
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
export async function answers(
  { socketDir, port }: LabAddress,
  timeoutMs: number,
  aborting?: AbortSignal,
): Promise<boolean> {
  const deadline = AbortSignal.timeout(timeoutMs)
  const signal = aborting ? AbortSignal.any([aborting, deadline]) : deadline
  const socket = createConnection(join(socketDir, `.s.PGSQL.${port}`))
  try {
    await once(socket, 'connect', { signal })
    socket.write(SSL_REQUEST)
    await once(socket, 'data', { signal })
    return true
  } catch (error) {
    if (aborting?.aborted)
      throw new ProvisionError('ABORTED', 'the question whether Postgres answers was stopped on request', {
        cause: error,
      })
    // Whatever the system says of the socket, nobody takes connections there.
    if (signal.aborted || isSystemError(error)) return false
    throw error
  } finally {
    socket.destroy()
  }
}
