import { LabApiError, LabConnectionError, systemCode } from './errors.ts'

// undici's retry interceptor is not used: it knows methods but not the Idempotency-Key that makes a POST safe, has no jitter and no end
// to its waits but their number, and would leave the fetch transport without retries.

/** The first wait, in milliseconds. It doubles with each failure: four retries take 3 seconds at most, about a restart of the server. */
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 5_000

/** What passes by itself. Not among them: an unknown host, a certificate that is not trusted, something that doesn't speak HTTP. */
const PASSING = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** Milliseconds to wait before a failed request is sent again; undefined where that makes no sense. */
export function retryDelayMs(error: unknown, attempt: number): number | undefined {
  if (error instanceof LabConnectionError) {
    const code = systemCode(error.cause)
    // Browsers do not say why a fetch failed.
    return code === undefined || PASSING.has(code) ? backoffMs(attempt, FIRST_DELAY_MS, LONGEST_DELAY_MS) : undefined
  }
  if (error instanceof LabApiError && error.status === 503 && error.retryAfterSeconds !== undefined) {
    // Not below what was asked for, and spread out, so that those who were refused together do not come back together.
    return error.retryAfterSeconds * 1000 + backoffMs(attempt, FIRST_DELAY_MS, LONGEST_DELAY_MS)
  }
  return undefined
}

/** Doubles with each attempt (from 0) up to a limit; a random part of up to a half is taken off. */
export function backoffMs(attempt: number, firstMs: number, longestMs: number): number {
  const full = Math.min(firstMs * 2 ** attempt, longestMs)
  return full * (1 - Math.random() / 2)
}
