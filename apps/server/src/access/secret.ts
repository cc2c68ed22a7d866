import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** Marks a secret as one of a lab, for those who scan for secrets that were left lying about. */
const PREFIX = 'dblab_'

/** 192 random bits: nobody guesses one. */
export function makeSecret(): string {
  return PREFIX + randomBytes(24).toString('base64url')
}

/**
 * What is kept of a secret. One round of SHA-256 is right here, and a slow hash such as bcrypt would be wrong: slowness protects what people
 * choose, by making each guess dear; among 2^192 random secrets guessing is hopeless at any speed, and the hash is made for every request.
 */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** In a time that does not say where they differ. */
export function sameHash(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(a, 'hex'), Buffer.from(b, 'hex'))
}
