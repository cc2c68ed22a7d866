import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, isIPv6 } from 'node:net'
import { relative } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { failPoint, isSystemError } from '@dblab/provision'
import { ConfigError, type LoadedConfig } from '../config/load.ts'
import { logicalSource, type SourceConfig } from '../config/retrieval.ts'
import type { Config } from '../config/schema.ts'
import { createApp } from '../http/app.ts'
import { answerUnreadable } from '../http/unreadable.ts'
import { checkCloneCertificate } from '../lab/certificate.ts'
import { tokenFile } from '../lab/identity.ts'
import { type Lab, openLab } from '../lab/lab.ts'
import { writeServerFile } from '../lab/server-file.ts'
import type { Logger } from '../log.ts'
import { bringIn } from '../retrieval/bring-in.ts'
import { toMilliseconds } from '../time.ts'
import { openApi, version } from '../version.ts'

export interface StartOptions {
  /** A dump to import, instead of the sample. */
  import?: string
  /** The address of a live server, instead of the configured sources. */
  source?: string
}

/** Opens the lab, brings in data where it has none, and serves until it is told to stop. The clones stay when it does. */
export async function start(
  { config, token, environment }: LoadedConfig,
  options: StartOptions,
  log: Logger,
): Promise<void> {
  if (options.source !== undefined) config.retrieval.sources = [namedSource(options.source)]
  const stopping = stopSignal(log)
  await requireAddress(config.clones.host)
  checkCloneCertificate(config)
  await using lab = await openLab({
    ...{ config, token, environment, version, log },
    otherSources: options.source !== undefined,
  })
  // What is wrong with the address is said now, not after an import of hours.
  if (config.port !== 0) await close(await listening(createServer(config), config))
  const refresh = options.source !== undefined
  await bringIn(lab, { ...options, refresh, scale: config.sample.scale }, stopping, log)
  const app = createApp({
    services: lab.services,
    log,
    openApi,
    bodyLimit: config.bodyLimit,
    tls: config.tls !== undefined,
    stopping,
    trustedProxies: config.access.trustedProxies,
  })
  const server = createServer(config, app)
  answerUnreadable(server, log)
  await listening(server, config)
  await using _listening = { [Symbol.asyncDispose]: () => close(server) }
  const url = urlOf(config, server.address() as AddressInfo)
  await writeServerFile(config.dataDir, url)
  await failPoint('start.listening')
  log.info('listening', { url })
  // The lab serves, whether or not anybody can read so.
  process.stdout.on('error', (error) => log.warn('the greeting could not be written', { error }))
  process.stdout.write(greeting(lab, config, url, token !== undefined))
  await new Promise<void>((resolve) => {
    if (stopping.aborted) resolve()
    else stopping.addEventListener('abort', () => resolve(), { once: true })
  })
  log.info('stopping; the clones go on')
}

/** As if it were configured, with the password where psql takes it from. */
function namedSource(url: string): SourceConfig {
  const parsed = logicalSource.safeParse({ kind: 'logical', url, passwordEnv: 'PGPASSWORD' })
  if (parsed.success) return parsed.data
  throw new ConfigError(`--source: ${parsed.error.issues.map(({ message }) => message).join('; ')}`)
}

const SAME_SIGNAL_MS = 1000

/** The first signal asks for a stop in good order; the second ends the process at once. */
function stopSignal(log: Logger): AbortSignal {
  const controller = new AbortController()
  let first = 0
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // A terminal and the process that started this one may both pass the same signal on.
      if (controller.signal.aborted && Date.now() - first < SAME_SIGNAL_MS) return
      if (controller.signal.aborted) {
        log.warn('ended at once; the next start puts things in order', { signal: name })
        process.exit(130)
      }
      first = Date.now()
      controller.abort(new Error(`stopped by ${name}`))
    })
  }
  return controller.signal
}

function createServer(config: Config, app?: ReturnType<typeof createApp>): Server {
  const requestTimeout = toMilliseconds(config.requestTimeoutSeconds)
  const timeouts = {
    // Against clients that send a request byte by byte. An answer may take longer: `?wait=` holds it.
    requestTimeout,
    headersTimeout: Math.min(requestTimeout, 15_000),
    connectionsCheckingInterval: 1000,
    // Node's own refusal has no body: the app refuses it in the form of every error.
    requireHostHeader: false,
  }
  if (!config.tls) return createHttpServer(timeouts, app)
  try {
    const [cert, key] = [readFileSync(config.tls.certFile), readFileSync(config.tls.keyFile)]
    return createHttpsServer({ ...timeouts, cert, key, minVersion: 'TLSv1.2' }, app)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    throw new ConfigError(`tls: the certificate can't be used: ${error.message}`, { cause: error })
  }
}

/** @throws ConfigError where it can't listen */
async function listening(server: Server, { host, port }: Config): Promise<Server> {
  try {
    server.listen({ host, port })
    await once(server, 'listening')
    return server
  } catch (error) {
    if (!isSystemError(error)) throw error
    const taken = error.code === 'EADDRINUSE' ? ': another program listens there; set another port, or DBLAB_PORT' : ''
    throw new ConfigError(`host, port: the API can't listen on ${host}:${port} (${error.code})${taken}`, {
      cause: error,
    })
  }
}

/** Every clone would fail on an address that this machine does not have. */
async function requireAddress(host: string): Promise<void> {
  const server = createHttpServer()
  try {
    server.listen({ host, port: 0 })
    await once(server, 'listening')
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new ConfigError(`clones.host: this machine can't listen on ${host} (${error.code})`, { cause: error })
  }
  await close(server)
}

function urlOf(config: Config, { port }: AddressInfo): string {
  const anywhere = config.host === '0.0.0.0' || config.host === '::'
  const host = anywhere ? '127.0.0.1' : isIPv6(config.host) ? `[${config.host}]` : config.host
  return `${config.tls ? 'https' : 'http'}://${host}:${port}`
}

/** How long answers that are under way may take once the server was asked to stop. */
const CLOSE_DEADLINE_MS = 5000

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  await Promise.race([closed, delay(CLOSE_DEADLINE_MS, undefined, { ref: false })])
  server.closeAllConnections()
  await closed
}

/** What a newcomer needs: where it is, the token (once), and three lines to try. */
function greeting(lab: Lab, config: Config, url: string, fromEnvironment: boolean): string {
  const file = relative(process.cwd(), tokenFile(config.dataDir)) || tokenFile(config.dataDir)
  const token = lab.tokenIsNew ? `${lab.firstToken}   (shown this once; kept in ${file})` : `kept in ${file}`
  const get = fromEnvironment ? '' : `export DBLAB_TOKEN=$(cat ${file}); `
  return `
Database Lab is ready: ${lab.services.status.status().status.message}
  API         ${url}
  Swagger UI  ${url}/docs
  Token       ${fromEnvironment ? 'from DBLAB_TOKEN' : token}

Three lines to try:
  ${get}export DBLAB_URL=${url}
  URL=$(curl -sS -X POST "$DBLAB_URL/clone?wait=60" -H "Authorization: Bearer $DBLAB_TOKEN" -H 'Content-Type: application/json' -d '{"db":{"username":"alice","password":"change-me"}}' | grep -o 'postgresql://[^"]*')
  PGPASSWORD=change-me psql "$URL"

Ctrl-C stops the server and leaves the clones; "npm run stop" stops them too.
`
}
