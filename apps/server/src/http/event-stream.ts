import { once } from 'node:events'
import type { Response } from 'express'
import type { EventReader } from '../events/event-reader.ts'

/** Times that a stream goes by; other ones only in tests. */
export interface StreamPace {
  /** A comment after so much silence: below the 30 seconds and more after which proxies commonly cut a silent connection. */
  heartbeatMs: number
  /** A client that takes nothing for so long is cut off: it can come back, and go on where it was. */
  stallMs: number
}

const defaultPace: StreamPace = { heartbeatMs: 15_000, stallMs: 30_000 }

/** When a client that follows the protocol comes back after a cut, in milliseconds. */
const RETRY_MS = 1000

/** What the answer to GET and HEAD begins with. */
export function beginEventStream(response: Response): void {
  response.status(200)
  response.setHeader('Content-Type', 'text/event-stream; charset=utf-8')
  // Whoever would compress it would hold it back.
  response.setHeader('Cache-Control', 'no-store, no-transform')
  // https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
  response.setHeader('X-Accel-Buffering', 'no')
  // It is the last on its connection, which a stop of the server then need not wait for.
  response.setHeader('Connection', 'close')
}

/**
 * Sends events until the reader may not go on or nobody reads any more. What waits for a slow client is what was handed over last, and no more.
 *
 * @param ended aborts when the client is gone, or the server is asked to stop
 */
export async function streamEvents(
  reader: EventReader,
  response: Response,
  ended: AbortSignal,
  { heartbeatMs, stallMs }: StreamPace = defaultPace,
): Promise<void> {
  beginEventStream(response)
  let text = `retry: ${RETRY_MS}\n\n`
  let sentAt = 0
  while (!ended.aborted && reader.mayGoOn) {
    text += reader.take()
    const now = Date.now()
    if (text === '' && now - sentAt >= heartbeatMs) text = ': still there\n\n'
    if (text === '') {
      await reader.wait(sentAt + heartbeatMs - now, ended)
      continue
    }
    sentAt = now
    if (!response.write(text) && !(await drains(response, ended, stallMs))) break
    text = ''
  }
  // What a client does not take would be kept for it, and hold up a stop of the server.
  if (response.writableNeedDrain) response.destroy()
  else response.end()
}

/** False when the client took nothing for too long, or the stream has ended. */
async function drains(response: Response, ended: AbortSignal, stallMs: number): Promise<boolean> {
  const stalled = AbortSignal.timeout(stallMs)
  const given = AbortSignal.any([ended, stalled])
  try {
    await once(response, 'drain', { signal: given })
    return true
  } catch (error) {
    if (!given.aborted) throw error
    return false
  }
}
