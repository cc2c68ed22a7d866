import { readFileSync } from 'node:fs'
import type { CreatedToken, CreateTokenRequest, Token } from '@dblab/models'
import { findAccount } from '@dblab/provision'
import { openLab as openClient } from '@dblab/sdk'
import { AuditLog } from '../access/audit-log.ts'
import { Tokens } from '../access/tokens.ts'
import { ConfigError, type LoadedConfig } from '../config/load.ts'
import { LabError } from '../errors.ts'
import { readIfThere } from '../lab/files.ts'
import { type Identity, IdentityError, makeIdentity, readIdentity, tokenFile } from '../lab/identity.ts'
import { LabLockedError, lockDataDir } from '../lab/lock.ts'
import { openCatalogue } from '../lab/open-catalogue.ts'
import { makeDataDir, places } from '../lab/places.ts'
import { readServerFile } from '../lab/server-file.ts'
import type { Logger } from '../log.ts'
import { pinnedTransport } from './pinned-transport.ts'

/** The tokens of a lab, for a command on its machine. */
export interface TokenBook extends AsyncDisposable {
  create(request: CreateTokenRequest): Promise<CreatedToken>
  list(): Promise<Token[]>
  revoke(id: string): Promise<void>
}

/**
 * Over the API where a server runs: two processes must not write one catalogue, and a revocation takes effect at once. Else in the
 * catalogue itself, which is made where the lab has none yet.
 *
 * @throws LabLockedError where something else holds the lab; ConfigError, IdentityError, LabError
 */
export async function openTokenBook(loaded: LoadedConfig, log: Logger): Promise<TokenBook> {
  const { dataDir } = loaded.config
  await makeDataDir(dataDir)
  let lock: Disposable
  try {
    lock = lockDataDir(places.lock(dataDir))
  } catch (error) {
    if (!(error instanceof LabLockedError)) throw error
    const server = await readServerFile(dataDir)
    if (!server?.url) throw error
    return overApi(loaded, server.url)
  }
  return inCatalogue(loaded, lock, log)
}

async function overApi({ config, token: fromEnvironment }: LoadedConfig, url: string): Promise<TokenBook> {
  const token = fromEnvironment ?? (await readIfThere(tokenFile(config.dataDir)))?.trim()
  if (!token) throw new ConfigError('DBLAB_TOKEN: the server was started with it, and needs it here too')
  const transport = config.tls && pinnedTransport(readFileSync(config.tls.certFile))
  const lab = openClient({ url, token, transport })
  return {
    create: (request) => lab.tokens.create(request),
    list: () => lab.tokens.list(),
    revoke: (id) => lab.tokens.revoke(id),
    [Symbol.asyncDispose]: () => lab.close(),
  }
}

async function inCatalogue({ config }: LoadedConfig, lock: Disposable, log: Logger): Promise<TokenBook> {
  const { dataDir } = config
  await using stack = new AsyncDisposableStack()
  stack.use(lock)
  const { catalogue, lost } = await openCatalogue(dataDir, await identityOf(config))
  stack.defer(() => catalogue.close())
  const requireWritable = () => {
    if (lost !== undefined) throw new LabError('CATALOGUE_UNREADABLE', `The catalogue can't be used: ${lost}`)
  }
  requireWritable()
  const tokens = new Tokens({ catalogue, requireWritable })
  const audit = stack.use(new AuditLog({ ...config.audit, file: places.audit(dataDir), log }))
  const note = (operation: string, token: string) => audit.addOwn({ operation, token, by: 'command' }, 'npm run token')
  const whole = stack.move()
  return {
    create: async (request) => {
      const created = tokens.create(request)
      note('TokenCreate', created.id)
      return created
    },
    list: async () => tokens.list(),
    revoke: async (id) => {
      tokens.revoke(id)
      note('TokenDelete', id)
    },
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  }
}

async function identityOf({ dataDir, postgres }: LoadedConfig['config']): Promise<Identity> {
  const identity = await readIdentity(dataDir)
  if (identity?.destroying) {
    throw new IdentityError('the destruction of this lab was cut off; end it with "npm run destroy", then start anew')
  }
  if (identity) return identity
  return makeIdentity(dataDir, await findAccount(postgres.user))
}
