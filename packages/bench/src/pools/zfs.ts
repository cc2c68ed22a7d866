import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { run } from '@dblab/provision/testbed/small-process'
import { execa } from 'execa'
import type { Pool } from './pool.ts'

/** A sparse file takes only what is written to it. */
const FILE_SIZE = '40G'

/**
 * A pool in a file, or the dataset that is given, which has to be there and mounted.
 *
 * @param dataset to work below
 */
export async function zfsPool(dataset?: string): Promise<Pool> {
  if (dataset !== undefined) {
    const { exitCode } = await execa('zfs', ['list', dataset], { reject: false })
    if (exitCode !== 0) throw new Error(`there is no dataset ${dataset} to work below: make it with zfs create`)
    return poolBelow(dataset, async () => {})
  }
  const directory = await mkdtemp(join(tmpdir(), 'bench-zfs-'))
  const name = basename(directory)
  const file = join(directory, 'device')
  await execa('truncate', [`--size=${FILE_SIZE}`, file])
  await execa('zpool', ['create', '-m', `/${name}`, name, file])
  return poolBelow(name, async () => {
    await execa('zpool', ['destroy', name])
    await rm(directory, { recursive: true })
  })
}

async function poolBelow(dataset: string, remove: () => Promise<void>): Promise<Pool> {
  const [lab, bare] = [`${dataset}/lab`, `${dataset}/bare`]
  const pool = dataset.split('/')[0] ?? dataset
  const mountPoint = await propertyOf('mountpoint', dataset)
  const named = (name: string) => `${bare}/${name}`
  const pathOf = (name: string) => join(mountPoint, 'bare', name)
  return {
    driver: 'zfs',
    storage: { driver: 'zfs', dataset: lab },
    snapshotName: '`zfs clone`',
    open: () => zfs('create', '-p', '-o', 'atime=off', bare),
    sourceOf: (snapshotId) => snapshotNamed(lab, snapshotId),
    snapshot: (source, target) => zfs('clone', source, named(target)),
    async sourceOfVolume(name) {
      const source = `${named(name)}@source`
      await zfs('snapshot', source)
      return source
    },
    create: (name) => zfs('create', named(name)),
    pathOf,
    async filesOf(snapshotId) {
      const [volume = '', snapshot = ''] = (await snapshotNamed(lab, snapshotId)).split('@')
      return join(await propertyOf('mountpoint', volume), '.zfs/snapshot', snapshot)
    },
    remove: (name) => zfs('destroy', '-r', named(name)),
    async settle() {
      await execa('zpool', ['sync', pool])
      await execa('zpool', ['wait', '-t', 'free', pool])
    },
    ownBytes: async (path) => Number(await propertyOf('written', path)),
    used: async () => undefined,
    async [Symbol.asyncDispose]() {
      await zfs('destroy', '-r', bare)
      await remove()
    },
  }
}

async function snapshotNamed(lab: string, snapshotId: string): Promise<string> {
  const { stdout } = await execa('zfs', ['list', '-H', '-t', 'snapshot', '-o', 'name', '-r', lab])
  const found = stdout.split('\n').find((name) => name.endsWith(`@${snapshotId}`))
  if (found === undefined) throw new Error(`there is no snapshot ${snapshotId} in the pool`)
  return found
}

async function propertyOf(property: string, of: string): Promise<string> {
  return (await execa('zfs', ['get', '-Hp', '-o', 'value', property, of])).stdout
}

/** From the process from which the lab runs it: small, so that a fork of it takes little. */
async function zfs(...args: string[]): Promise<void> {
  await run(['zfs', ...args])
}
