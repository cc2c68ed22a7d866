import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type CloneSpec,
  type Instance,
  openStorage,
  Provisioner,
  type ProvisionerOptions,
  type StorageDriver,
  scramVerifier,
  type VolumeId,
  withLabConnection,
} from '../../src/index.ts'
import { freePort, hasProgram, isRoot, mountedImage, npmBinaries } from '../../testbed/index.ts'
import { makeWorld, type World } from '../postgres/world.ts'

export const USER = { username: 'ann', password: 'pass word' }

/** A pool on btrfs and a runtime, joined. */
export interface Lab extends AsyncDisposable {
  world: World
  /** Of the pool. */
  root: string
  storage: StorageDriver
  provisioner: Provisioner
  /** As it would be after a restart of the lab. */
  anotherProvisioner(): Provisioner
  withDeadlines(deadlines: ProvisionerOptions['deadlines']): Provisioner
  query(id: VolumeId, sql: string, database?: string): Promise<Record<string, unknown>[]>
  cloneSpec(volumeId: VolumeId, from: CloneSpec['from'], username?: string): Promise<CloneSpec>
}

/** Debian's, with all client programs. */
const clients = existsSync('/usr/lib/postgresql/15/bin/pg_basebackup')

export const missing =
  isRoot && hasProgram('mkfs.btrfs') && clients && process.env.ZFS_VM === undefined
    ? undefined
    : 'root, btrfs-progs and PostgreSQL 15 with its client programs are needed'

export async function openLab(driver: 'btrfs' | 'copy' = 'btrfs'): Promise<Lab> {
  await using stack = new AsyncDisposableStack()
  const configured = ([14, 15, 16, 17] as const).flatMap((major) => (major === 15 ? [] : (npmBinaries(major) ?? [])))
  const world = await makeWorld({ configured })
  const image = stack.use(await mountedImage('btrfs'))
  const root = join(image.directory, 'pool')
  const opened = await openStorage({ driver, labId: 'lab', root, owner: world.account })
  stack.defer(() => opened.destroy())
  stack.use(world)
  const storage = opened.driver
  const provisionerOf = (runtime: World['runtime'], deadlines?: ProvisionerOptions['deadlines']) =>
    new Provisioner({ storage, runtime, host: '127.0.0.1', settings: {}, allowSuperusers: false, deadlines })
  const kept = stack.move()
  return {
    world,
    root,
    storage,
    provisioner: provisionerOf(world.runtime),
    anotherProvisioner: () => provisionerOf(world.anotherRuntime()),
    withDeadlines: (deadlines) => provisionerOf(world.runtime, deadlines),
    async query(id, sql, database = 'postgres') {
      const instance = await world.runtime.inspect(id)
      if (!instance) throw new Error(`there is no instance ${id}`)
      return labQuery(instance, sql, database)
    },
    async cloneSpec(volumeId, from, username = USER.username) {
      const login = { ...USER, username, database: 'postgres', verifier: await scramVerifier(USER.password) }
      return { volumeId, from, port: await freePort(), login }
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

export async function labQuery(instance: Instance, sql: string, database: string): Promise<Record<string, unknown>[]> {
  return withLabConnection(instance, database, async (client) => (await client.query(sql)).rows)
}
