import { isIP } from 'node:net'
import type { Request, Response } from 'express'
import { ipKeyGenerator, rateLimit } from 'express-rate-limit'
import { LabError } from '../errors.ts'

const WINDOW_MS = 60_000
/** Whoever has one address of IPv6 usually has all of its /64 (RFC 6177). */
const IPV6_SUBNET = 64

/**
 * Counts tokens that were not taken, for each address. A right token is looked at first and never counted: behind a proxy everybody has
 * the same address, and must not be locked out by what somebody else sends.
 */
export class FailedAttempts {
  readonly #limiter: ReturnType<typeof rateLimit>

  constructor(perMinute: number) {
    this.#limiter = rateLimit({
      windowMs: WINDOW_MS,
      limit: perMinute,
      keyGenerator: (request) => ipKeyGenerator(addressOf(request), IPV6_SUBNET),
      handler: (request, _response, next) => next(tooMany(request)),
      legacyHeaders: false,
      standardHeaders: false,
      // Its checks of how it is used write to the console.
      validate: false,
    })
  }

  /** @throws LabError TOO_MANY_ATTEMPTS when there were too many within a minute */
  async count(request: Request, response: Response): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const next = (error?: unknown) => (error === undefined ? resolve() : reject(error))
      Promise.resolve(this.#limiter(request, response, next)).catch(reject)
    })
  }
}

/** Where a request comes from, as far as the proxies in between are trusted. What they send can be anything. */
export function addressOf({ ip }: { ip?: string | undefined }): string {
  const plain = ip?.replace(/^::ffff:(?=\d+\.)/i, '')
  return plain !== undefined && isIP(plain) ? plain : 'unknown'
}

function tooMany(request: object): LabError {
  const reset = 'rateLimit' in request && (request.rateLimit as { resetTime?: Date }).resetTime
  const retryAfterSeconds = reset ? Math.max(1, Math.ceil((reset.getTime() - Date.now()) / 1000)) : WINDOW_MS / 1000
  return new LabError('TOO_MANY_ATTEMPTS', 'too many requests from this address had a token that is not taken', {
    retryAfterSeconds,
  })
}
