import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Role } from '@dblab/models'
import { PortPool, type Provisioner, type StorageChoice, type StorageDriver } from '@dblab/provision'
import { createLogger, transports } from 'winston'
import { openAccess } from '../../src/access/access.ts'
import { Catalogue } from '../../src/catalogue/catalogue.ts'
import { CloneService } from '../../src/cloning/clone-service.ts'
import { Jobs } from '../../src/cloning/jobs.ts'
import { CloneLifecycle } from '../../src/cloning/lifecycle.ts'
import { configSchema } from '../../src/config/schema.ts'
import { CatalogueEvents } from '../../src/events/catalogue-events.ts'
import { EventHub } from '../../src/events/event-hub.ts'
import { OpenStreams } from '../../src/events/open-streams.ts'
import { createApp } from '../../src/http/app.ts'
import { Lull } from '../../src/lab/lull.ts'
import type { Logger } from '../../src/log.ts'
import { Metrics } from '../../src/metrics/metrics.ts'
import { RetrievalService } from '../../src/retrieval/retrieval-service.ts'
import { SnapshotService } from '../../src/snapshots/snapshot-service.ts'
import { DiskMonitor } from '../../src/status/disk.ts'
import { StatusService } from '../../src/status/status-service.ts'
import { openApi, version } from '../../src/version.ts'
import { addBase } from './rows.ts'

/** The token that the app takes as its first. */
export const TOKEN = 'a-token-for-tests-only'

const silent = createLogger({ silent: true, transports: [new transports.Console()] })

const GIB = 1024 ** 3

export interface FullApp extends AsyncDisposable {
  url: string
  catalogue: Catalogue
  jobs: Jobs
  lifecycle: CloneLifecycle
  disk: DiskMonitor
  /** The secret of a new token. */
  token(name: string, role: Role): string
  /** As any HTTP client, with the first token where no other is given. */
  fetch(path: string, headers?: Record<string, string>, init?: RequestInit): Promise<Response>
}

/**
 * The whole HTTP side before a catalogue on disk and the real services, but without storage and Postgres: the clones of the catalogue are rows that
 * a test has added.
 */
export async function fullApp(log: Logger = silent): Promise<FullApp> {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-app-'))
  const catalogue = Catalogue.create(join(directory, 'catalogue.db'), 'lab')
  addBase(catalogue)
  const config = configSchema.parse({ dataDir: directory })
  const access = openAccess({ config, catalogue, lost: undefined, firstToken: TOKEN, log })
  const bytes = { sizeBytes: 100 * GIB, usedBytes: 10 * GIB, freeBytes: 90 * GIB }
  const usage = async () => ({ ...bytes, compressionRatio: null, health: 'OK', healthDetail: '' })
  const freeBytes = async () => bytes.freeBytes
  const storage = { capabilities: { ownBytes: true }, usage, freeBytes } as unknown as StorageDriver
  const disk = new DiskMonitor(storage, config.storage, log)
  await disk.refresh()
  const provisioner = { storage } as unknown as Provisioner
  const ports = new PortPool({ from: 20_000, to: 29_999, host: '127.0.0.1' })
  const collectGarbage = async () => {}
  const requireWritable = () => {}
  const requireSpace = () => disk.requireSpace()
  const takeSpace = () => disk.takeSpace(0)
  const common = { catalogue, provisioner, ports, log, collectGarbage, requireWritable, requireSpace, takeSpace }
  const lifecycle = new CloneLifecycle({
    ...{ ...common, bootId: 'now', isUnsafe: () => false, lull: new Lull() },
    ...{ collectSoon: () => {}, retired: () => {} },
  })
  const jobs = new Jobs({ concurrency: 1, queue: 10_000 }, () => {})
  const clones = new CloneService({
    ...{ ...common, lifecycle, jobs, publicHost: 'lab.example.com', tls: false },
    ...{ requireMasked: false, allowSuperusers: false, defaultProfile: 'dev', limits: {} },
  })
  const snapshots = new SnapshotService({ ...common, jobs, freePort: async () => {} })
  const retrieval = new RetrievalService({
    ...{ ...common, sources: [], attempts: { max: 1, firstPauseMs: 0 }, requireMasked: false, maxAgeMs: undefined },
    generate: () => Promise.reject(new Error('there is no storage')),
  })
  const warm = { size: 0, target: 0, hits: 0, misses: 0 }
  const room = { comingBytes: 0 }
  const status = new StatusService({
    ...{ catalogue, clones, snapshots, disk, ports, storage, retrieval, version, standing: [], audit: access.audit },
    warm,
    room,
    defaultProfile: 'dev',
    choice: { driver: 'zfs', embedded: false, passedOver: [], storage } as unknown as StorageChoice,
  })
  const hub = new EventHub()
  const changes = new CatalogueEvents({ catalogue, viewOf: (id) => clones.get(id), hub, log })
  const events = { hub, streams: new OpenStreams() }
  const { ends } = lifecycle.books
  const metrics = new Metrics({ catalogue, clones, disk, room, jobs, warm, retrieval, status, version, ends })
  const services = { clones, snapshots, retrieval, status, metrics, events, access, catalogue }
  const app = createApp({ services, log, openApi, bodyLimit: 100_000, tls: false })
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  const url = `http://127.0.0.1:${address.port}`
  return {
    ...{ url, catalogue, jobs, lifecycle, disk },
    token: (name, role) => access.tokens.create({ name, role }).token,
    fetch: (path, headers = {}, init = {}) =>
      fetch(url + path, { ...init, headers: { Authorization: `Bearer ${TOKEN}`, ...headers } }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
      await retrieval[Symbol.asyncDispose]()
      await access[Symbol.asyncDispose]()
      changes[Symbol.dispose]()
      metrics[Symbol.dispose]()
      catalogue.close()
      await rm(directory, { recursive: true })
    },
  }
}
