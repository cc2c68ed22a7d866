import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { PostgresRuntime } from '@dblab/provision'
import { z } from 'zod'
import { randomId } from '../ids.ts'
import { isToken, TOKEN_RULE } from '../token.ts'
import { readIfThere, writeFileAtomically } from './files.ts'
import { chooseStateDir, places } from './places.ts'

const identitySchema = z.object({
  labId: z.string().regex(/^[a-z0-9]{12}$/),
  createdAt: z.iso.datetime(),
  /** Where the volumes, sockets and logs lie: the data directory itself, or a place that the account of Postgres can reach. */
  stateDir: z.string().startsWith('/'),
  /** Who ran Postgres last, and so owns the data: an account that is there since would be taken before it. Labs of older servers have none. */
  account: z.string().min(1).optional(),
  /** Where the lab was made: a copy of it elsewhere is not the lab. */
  dataDir: z.string().startsWith('/'),
  /** What the data lies on, once it was opened: an absent pool must not be taken for a new one. */
  storage: z
    .object({ driver: z.enum(['zfs', 'btrfs', 'reflink', 'copy']), embedded: z.boolean(), dataset: z.string() })
    .optional(),
  /** How many starts the lab has seen; the catalogue counts them too, and a copy of it that counts fewer is an older one. */
  epoch: z.int().min(0),
  /** True once the catalogue was made: from then on, one that is missing is lost, not new. */
  complete: z.boolean(),
  /** True once its destruction has begun: then its pool may be gone already, and nothing but another destruction may go on. */
  destroying: z.boolean().optional(),
})

/** Who the lab is: kept beside the catalogue, so that the loss of the one is seen by the other. */
export type Identity = z.infer<typeof identitySchema>

/** The lab is not as its identity file says, or that file says something that no server wrote. Nothing was changed. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError'
}

/** @throws IdentityError for a file that is there and unreadable: to make a new lab over it would orphan all that the old one has. */
export async function readIdentity(dataDir: string): Promise<Identity | undefined> {
  const file = identityFile(dataDir)
  const text = await readIfThere(file)
  if (text === undefined) return undefined
  let identity: Identity
  try {
    identity = identitySchema.parse(JSON.parse(text))
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof z.ZodError)) throw error
    throw new IdentityError(`${file} is damaged; nothing was changed. Put a good copy in its place`, { cause: error })
  }
  if ((await stat(file)).uid !== process.getuid?.())
    throw new IdentityError(`${file} belongs to another account; nothing was changed`)
  if (identity.dataDir === dataDir) return identity
  throw new IdentityError(
    `${dataDir} was copied or moved from ${identity.dataDir}, and its data may be in use there; nothing was changed. Move it back, or make a new lab`,
  )
}

/** Of a lab that is being made. In its file before anything else is made, so that whatever follows can be found again. */
export async function makeIdentity(dataDir: string, account: PostgresRuntime['account']): Promise<Identity> {
  if (existsSync(places.catalogue(dataDir))) {
    throw new IdentityError(
      `${identityFile(dataDir)} is missing though there is a catalogue; nothing was changed. Put it back`,
    )
  }
  const labId = randomId()
  const identity = {
    labId,
    createdAt: new Date().toISOString(),
    dataDir,
    stateDir: await chooseStateDir(dataDir, account, labId),
    account: account.name,
    epoch: 0,
    complete: false,
  }
  await writeIdentity(dataDir, identity)
  return identity
}

export async function writeIdentity(dataDir: string, identity: Identity): Promise<void> {
  await writeFileAtomically(identityFile(dataDir), `${JSON.stringify(identity, null, 2)}\n`)
}

/** The token in the data directory, made when there is none. Outside the catalogue, so that a lost one locks nobody out. */
export async function readOrMakeToken(dataDir: string): Promise<{ token: string; made: boolean }> {
  const file = tokenFile(dataDir)
  const kept = (await readIfThere(file))?.trim()
  if (kept) {
    if (!isToken(kept)) throw new IdentityError(`${file} holds no token: ${TOKEN_RULE}. Remove it for a new one`)
    return { token: kept, made: false }
  }
  const token = randomBytes(24).toString('base64url')
  await writeFileAtomically(file, `${token}\n`)
  return { token, made: true }
}

export function tokenFile(dataDir: string): string {
  return join(dataDir, 'token')
}

export function identityFile(dataDir: string): string {
  return join(dataDir, 'lab.json')
}
