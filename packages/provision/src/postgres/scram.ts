import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import saslprep from '@mongodb-js/saslprep'
import { ProvisionError } from '../errors.ts'

/** What Postgres itself uses: SCRAM_SHA_256_DEFAULT_ITERATIONS and SCRAM_DEFAULT_SALT_LEN of src/include/common/scram-common.h. */
const ITERATIONS = 4096
const SALT_BYTES = 16
const KEY_BYTES = 32

const derive = promisify(pbkdf2)

/**
 * What Postgres keeps of a password, in RFC 5803's form as Postgres writes it: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`
 * (PostgreSQL manual, "pg_authid"). It proves a password and does not give it away.
 *
 * @throws ProvisionError INVALID for a password that Postgres can't have
 */
export async function scramVerifier(password: string, salt: Buffer = randomBytes(SALT_BYTES)): Promise<string> {
  if (password === '' || password.includes('\0')) {
    throw new ProvisionError('INVALID', 'a password is not empty and has no zero byte')
  }
  // RFC 5802, section 3.
  const salted = await derive(normalised(password), salt, ITERATIONS, KEY_BYTES, 'sha256')
  const clientKey = createHmac('sha256', salted).update('Client Key').digest()
  const storedKey = createHash('sha256').update(clientKey).digest('base64')
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64')
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`
}

/** True when the password is the one that the verifier was made of. */
export async function provesPassword(verifier: string, password: string): Promise<boolean> {
  const salt = /^SCRAM-SHA-256\$\d+:([^$]+)\$/.exec(verifier)?.[1]
  if (salt === undefined) throw new ProvisionError('INVALID', 'this is not a SCRAM verifier')
  return timingSafeEqual(sha256(await scramVerifier(password, Buffer.from(salt, 'base64'))), sha256(verifier))
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** True for a verifier as `scramVerifier` and Postgres make it. Anything else, given as a password, Postgres would take for plain text. */
export function isScramVerifier(text: string): boolean {
  return /^SCRAM-SHA-256\$[1-9]\d{0,9}:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$/.test(text)
}

/** SASLprep (RFC 4013), and the password's own bytes where that refuses it: so does Postgres, in pg_be_scram_build_secret. */
function normalised(password: string): string {
  try {
    return saslprep(password) || password
  } catch (error) {
    // Its only way to say that a password has characters that RFC 4013 prohibits.
    if (!(error instanceof Error)) throw error
    return password
  }
}
