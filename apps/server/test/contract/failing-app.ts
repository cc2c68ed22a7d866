import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { Registry } from '@prometheus-io/client'
import { createLogger, format, transports } from 'winston'
import { openAccess } from '../../src/access/access.ts'
import { Catalogue } from '../../src/catalogue/catalogue.ts'
import { configSchema } from '../../src/config/schema.ts'
import { createApp } from '../../src/http/app.ts'
import { RequestMetrics } from '../../src/metrics/request-metrics.ts'
import type { Services } from '../../src/services.ts'
import { openApi } from '../../src/version.ts'

interface FailingApp extends AsyncDisposable {
  logged: Record<string, unknown>[]
  /** As a signal to the server does. */
  stop(): void
  fetch(path: string): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }>
}

/** The HTTP side before services that fail, on a port of its own. */
export async function failingApp(): Promise<FailingApp> {
  const logged: Record<string, unknown>[] = []
  const stream = new Writable({
    write: (line, _encoding, done) => {
      logged.push(JSON.parse(String(line)))
      done()
    },
  })
  const log = createLogger({ format: format.json(), transports: [new transports.Stream({ stream })] })
  const fail = () => {
    throw new Error('canary: what only the log may tell')
  }
  const directory = await mkdtemp(join(tmpdir(), 'dblab-failing-'))
  const catalogue = Catalogue.empty('lab')
  const config = configSchema.parse({ dataDir: directory })
  const access = openAccess({ config, catalogue, lost: undefined, firstToken: 'token', log })
  const metrics = { requests: new RequestMetrics(new Registry()), text: fail }
  const services = { status: { status: fail, health: fail }, metrics, access, catalogue } as unknown as Services
  const stopping = new AbortController()
  const app = createApp({ services, log, openApi, bodyLimit: 1000, tls: false, stopping: stopping.signal })
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  return {
    logged,
    stop: () => stopping.abort(),
    fetch: async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${address.port}${path}`, {
        headers: { Authorization: 'Bearer token' },
      })
      return {
        status: response.status,
        headers: response.headers,
        body: (await response.json()) as Record<string, unknown>,
      }
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
      await access[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
}
