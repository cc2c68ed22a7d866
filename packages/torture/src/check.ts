import { readdir, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { isSystemError } from '@dblab/provision'
import type { TorturedLab } from './lab.ts'
import {
  datasetsBelow,
  describeMemory,
  listeningPorts,
  loopsBelow,
  mountsBelow,
  processes,
  unusedSharedMemory,
} from './machine.ts'
import { Violation, type ViolationKind } from './violation.ts'

/** What is retired goes in the background, and a Postgres that is killed is brought back by a look at the clones. */
const CALM_MS = 45_000

interface CatalogueRows {
  clones: { id: string; status: string; volume_id: string | null; port: number; snapshot_id: string }[]
  volumes: { id: string; role: string; state: string; origin: string | null }[]
  snapshots: { id: string; volume_id: string; state: string; published: number }[]
}

/** What is there, and what there should be, of one kind. */
interface Comparison {
  what: string
  there: ReadonlySet<string>
  wanted: ReadonlySet<string>
}

/**
 * Compares what the catalogue says with what the machine has: volumes, snapshots, processes, ports, records, socket directories, mounts,
 * loop devices, shared memory. The server runs, nothing is under way, and what is retired has the time that it takes to go.
 *
 * @param before shared memory that was unused before the lab was made: somebody else's
 * @throws Violation
 */
export async function checkMachine(lab: TorturedLab, before: ReadonlySet<string>): Promise<void> {
  const deadline = Date.now() + CALM_MS
  for (;;) {
    const found = await differences(lab, before)
    const [worst] = found
    if (!worst) return
    if (Date.now() > deadline) throw new Violation(worst.kind, found.map(({ text }) => text).join('\n'))
    await delay(500)
  }
}

/** After the lab was destroyed: nothing of it is there. @throws Violation */
export async function checkGone(lab: TorturedLab, before: ReadonlySet<string>): Promise<void> {
  const left = [
    ...(await names(lab.dataDir)).map((name) => `${lab.dataDir}/${name}`),
    ...(await mountsBelow(lab.directory)).map((at) => `mount ${at}`),
    ...(await loopsBelow(lab.directory)).map((file) => `loop device of ${file}`),
    ...(await ofLab(lab)).map(({ pid, command }) => `process ${pid} ${command.join(' ')}`),
    ...(lab.dataset ? await datasetsOf(lab.dataset) : []),
    ...(await leakedMemory(before)),
  ]
  if (left.length > 0) throw new Violation('orphaned', `after the destruction there is still\n${left.join('\n')}`)
}

async function differences(
  lab: TorturedLab,
  before: ReadonlySet<string>,
): Promise<{ kind: ViolationKind; text: string }[]> {
  const catalogue = readCatalogue(join(lab.dataDir, 'catalogue.db'))
  const comparisons = [...wantedRows(catalogue), ...(await storage(lab, catalogue)), ...(await runtime(lab, catalogue))]
  const texts = comparisons.flatMap(({ what, there, wanted }) => [
    ...[...wanted]
      .filter((each) => !there.has(each))
      .map((each) => ({ kind: 'lost' as const, text: `${what} ${each} is not there` })),
    ...[...there]
      .filter((each) => !wanted.has(each))
      .map((each) => ({ kind: 'orphaned' as const, text: `${what} ${each} is nobody's` })),
  ])
  const memory = (await leakedMemory(before)).map((text) => ({
    kind: 'orphaned' as const,
    text: `${text} is nobody's`,
  }))
  return [...texts, ...memory]
}

function readCatalogue(file: string): CatalogueRows {
  using db = new DatabaseSync(file, { readOnly: true })
  const all = (sql: string) => db.prepare(sql).all()
  return {
    clones: all('SELECT id, status, volume_id, port, snapshot_id FROM clones'),
    volumes: all('SELECT id, role, state, origin FROM volumes ORDER BY created_at, id'),
    snapshots: all('SELECT id, volume_id, state, published FROM snapshots'),
  } as unknown as CatalogueRows
}

/** Every row is there for something that a user has or will have, or for the newest data. */
function wantedRows({ clones, volumes, snapshots }: CatalogueRows): Comparison[] {
  const base = volumes.findLast(({ role, state }) => role === 'base' && state === 'live')
  const published = snapshots.filter(({ state, published }) => state === 'live' && published === 1)
  const wantedSnapshots = new Set(published.map(({ id }) => id))
  const wanted = new Set<string>()
  const visit = (id: string | null | undefined) => {
    if (!id || wanted.has(id)) return
    wanted.add(id)
    const origin = snapshots.find((snapshot) => snapshot.id === volumes.find((volume) => volume.id === id)?.origin)
    if (!origin) return
    wantedSnapshots.add(origin.id)
    visit(origin.volume_id)
  }
  for (const id of [
    base?.id,
    ...published.map(({ volume_id }) => volume_id),
    ...clones.map(({ volume_id }) => volume_id),
    ...warmOf(volumes),
  ])
    visit(id)
  return [
    { what: 'volume in the catalogue', there: ids(volumes), wanted },
    { what: 'snapshot in the catalogue', there: ids(snapshots), wanted: wantedSnapshots },
  ]
}

async function storage(lab: TorturedLab, { volumes, snapshots }: CatalogueRows): Promise<Comparison[]> {
  const wantedVolumes = ids(volumes)
  const wantedSnapshots = new Set(snapshots.map(({ id, volume_id }) => `${volume_id}@${id}`))
  const found = lab.dataset ? await datasetsOf(lab.dataset) : undefined
  const there = found
    ? { volumes: found.filter((name) => !name.includes('@')), snapshots: found.filter((name) => name.includes('@')) }
    : {
        volumes: await names(join(lab.dataDir, 'pool/volumes')),
        snapshots: await names(join(lab.dataDir, 'pool/snapshots')),
      }
  const embedded = lab.options.driver === 'btrfs'
  const none = new Set<string>()
  const mounts = (await mountsBelow(lab.directory)).filter(
    (at) => !lab.dataset || !at.startsWith(join(lab.dataDir, 'pool/zfs')),
  )
  const loops = await loopsBelow(lab.directory)
  return [
    { what: 'volume', there: new Set(there.volumes), wanted: wantedVolumes },
    { what: 'snapshot', there: new Set(there.snapshots), wanted: wantedSnapshots },
    { what: 'mount', there: new Set(mounts), wanted: embedded ? new Set([join(lab.dataDir, 'pool')]) : none },
    { what: 'number of mounts', there: new Set([String(mounts.length)]), wanted: new Set([embedded ? '1' : '0']) },
    { what: 'number of loop devices', there: new Set([String(loops.length)]), wanted: new Set([embedded ? '1' : '0']) },
    {
      what: 'loop device of',
      there: new Set(loops),
      wanted: embedded ? new Set([join(lab.dataDir, 'pool.img')]) : none,
    },
  ]
}

/** Instances that stand ready for clones to come. */
function warmOf(volumes: CatalogueRows['volumes']): string[] {
  return volumes.filter(({ role, state }) => role === 'warm' && state === 'live').map(({ id }) => id)
}

/** As the record of an instance says it. */
async function portOf(lab: TorturedLab, id: string): Promise<string> {
  try {
    const record = await readFile(join(lab.dataDir, 'postgres/instances', id, 'record.json'), 'utf8')
    return String(JSON.parse(record).port)
  } catch (error) {
    // It goes while it is looked at, or is what the comparison is to find.
    if (isSystemError(error, 'ENOENT')) return `of ${id}`
    throw error
  }
}

async function runtime(lab: TorturedLab, catalogue: CatalogueRows): Promise<Comparison[]> {
  const running = catalogue.clones.filter(({ status }) => status === 'OK')
  const warm = warmOf(catalogue.volumes)
  const volumes = new Set([...running.flatMap(({ volume_id }) => volume_id ?? []), ...warm])
  // Not the clones' own: after a reset, another server than was started there may answer at a clone's port.
  const ports = await Promise.all([...volumes].map((id) => portOf(lab, id)))
  const listening = await listeningPorts()
  const { from, to } = lab.ports
  const all = await ofLab(lab)
  const servers = all.filter(({ cwd }) => cwd.endsWith('/data'))
  const postmasters = servers.filter(({ parent }) => !servers.some(({ pid }) => pid === parent))
  const others = all.filter((process) => process.pid !== lab.pid && !servers.includes(process))
  return [
    {
      what: 'port',
      there: new Set([...listening].filter((port) => port >= from && port <= to).map(String)),
      wanted: new Set(ports),
    },
    {
      what: 'Postgres on',
      there: new Set(postmasters.map(({ cwd }) => cwd.split('/').at(lab.dataset ? -2 : -3) ?? '')),
      wanted: volumes,
    },
    {
      what: 'number of Postgres servers',
      there: new Set([String(postmasters.length)]),
      wanted: new Set([String(running.length + warm.length)]),
    },
    {
      what: 'process',
      there: new Set(others.map(({ pid, command }) => `${pid} ${command.join(' ')}`)),
      wanted: new Set(),
    },
    { what: 'record', there: new Set(await names(join(lab.dataDir, 'postgres/instances'))), wanted: volumes },
    { what: 'socket directory', there: new Set(await names(join(lab.dataDir, 'postgres/sockets'))), wanted: volumes },
  ]
}

/** What works in the lab's directories, or was told of them. */
async function ofLab(lab: TorturedLab) {
  const directory = await realpath(lab.directory)
  const dataset = lab.dataset
  return (await processes()).filter(
    ({ cwd, command }) =>
      cwd.startsWith(`${directory}/`) ||
      command.some((word) => word.startsWith(`${directory}/.dblab`)) ||
      (dataset !== undefined && (command.some((word) => word.startsWith(dataset)) || cwd.startsWith(`/${dataset}/`))),
  )
}

/** Seen twice: what is being made or freed at this moment is nobody's for a moment. */
async function leakedMemory(before: ReadonlySet<string>): Promise<string[]> {
  const first = [...(await unusedSharedMemory())].filter((each) => !before.has(each))
  if (first.length === 0) return []
  await delay(1500)
  const second = await unusedSharedMemory()
  return Promise.all(first.filter((each) => second.has(each)).map(describeMemory))
}

async function datasetsOf(dataset: string): Promise<string[]> {
  try {
    return await datasetsBelow(dataset)
  } catch (error) {
    if (error instanceof Error && /does not exist/.test(error.message)) return []
    throw error
  }
}

function ids(rows: readonly { id: string }[]): Set<string> {
  return new Set(rows.map(({ id }) => id))
}

async function names(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return []
    throw error
  }
}
