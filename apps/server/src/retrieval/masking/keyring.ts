import { hkdfSync } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { isSystemError, ProvisionError } from '@dblab/provision'
import type { Environment } from '../../config/load.ts'
import type { MaskingConfig } from '../../config/masking.ts'

/** What Postgres is given of the secret: what is made of it, for this use alone. It never leaves the lab's session. */
export interface MaskingKeys {
  /** RFC 2104: the key, of a block's 64 bytes, XORed with 0x36 and with 0x5c. */
  innerPad: Buffer
  outerPad: Buffer
  /** A block of its own for whole numbers. */
  permutation: Buffer
}

/** 128 bits, were they only hexadecimal digits: what is made of it may be tried out by whoever has a clone. */
const SHORTEST_SECRET = 32

const HINT = 'Make one with `openssl rand -hex 32`, and keep it: another one changes every masked value.'

/**
 * Reads the secret and makes the keys; undefined where none is configured.
 *
 * @throws ProvisionError INVALID for one that is missing, too short, or readable by others
 */
export async function readKeys(
  config: Pick<MaskingConfig, 'secretFile' | 'secretEnv'>,
  environment: Environment,
): Promise<MaskingKeys | undefined> {
  const { secretFile, secretEnv } = config
  if (secretFile === undefined && secretEnv === undefined) return undefined
  const secret = secretFile === undefined ? environment(secretEnv ?? '') : await readSecretFile(secretFile)
  const where = secretFile ?? `the environment variable ${secretEnv}`
  if (secret === undefined) throw new ProvisionError('INVALID', `${where} for masking is not set`, { hint: HINT })
  if (secret.trim().length < SHORTEST_SECRET) {
    const text = `the secret for masking in ${where} is shorter than ${SHORTEST_SECRET} characters`
    throw new ProvisionError('INVALID', text, { hint: HINT })
  }
  return deriveKeys(secret.trim())
}

export function deriveKeys(secret: string): MaskingKeys {
  const key = derive(secret, 'hmac')
  return {
    innerPad: Buffer.from(key.map((byte) => byte ^ 0x36)),
    outerPad: Buffer.from(key.map((byte) => byte ^ 0x5c)),
    permutation: derive(secret, 'permutation'),
  }
}

function derive(secret: string, use: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `dblab masking 1 ${use}`, 64))
}

async function readSecretFile(path: string): Promise<string> {
  await using file = await openFile(path)
  const stats = await file.stat()
  if (!stats.isFile()) throw new ProvisionError('INVALID', `${path}, with the secret for masking, is not a file`)
  if ((stats.mode & 0o077) !== 0) {
    throw new ProvisionError('INVALID', `${path}, with the secret for masking, is open to other accounts`, {
      hint: `chmod 600 ${path}`,
    })
  }
  return file.readFile('utf8')
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    // A FIFO would keep its reader waiting.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new ProvisionError('INVALID', `${path}, with the secret for masking, can't be read (${error.code})`, {
      cause: error,
      hint: HINT,
    })
  }
}
