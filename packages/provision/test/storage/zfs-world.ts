import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { ForeignSource, ForeignThing, StorageHarness } from '../../conformance/index.ts'
import { failingProgram } from '../../conformance/support.ts'
import { openStorage } from '../../src/storage/open.ts'
import { command } from '../../testbed/index.ts'
import { OWNER } from './world.ts'

export interface ZfsWorld extends StorageHarness {
  /** A dataset of the test's own; the lab's is a child of it. */
  parent: string
  dataset: string
}

export async function zfsWorld(pool: string): Promise<ZfsWorld> {
  const parent = `${pool}/test-${randomBytes(6).toString('hex')}`
  const dataset = `${parent}/lab`
  await command('zfs', 'create', parent)
  const root = await mkdtemp(join(tmpdir(), 'zfs-root-'))
  const config = { driver: 'zfs' as const, labId: 'lab', root, owner: OWNER, dataset }
  const { driver } = await openStorage(config)
  return {
    parent,
    dataset,
    driver,
    config,
    failMaking: () => failingProgram('zfs', ['create', 'snapshot', 'clone']),
    failLists: () => failingProgram('zfs', ['get', 'list']),
    plantVolume: (id) => plantDataset(`${dataset}/${id}`),
    plantSnapshot: ({ volumeId, snapshotId }) => plantSnapshot(`${dataset}/${volumeId}@${snapshotId}`),
    plantTree: () => plantTree(`${parent}/theirs`),
    async content() {
      const names = await command('zfs', 'list', '-H', '-o', 'name', '-t', 'all', '-r', dataset)
      const below = names.split('\n').filter((name) => name.startsWith(`${dataset}/`))
      return below.map((name) => name.slice(dataset.length + 1)).sort()
    },
    async [Symbol.asyncDispose]() {
      await command('zfs', 'destroy', '-R', parent)
      await rm(root, { recursive: true })
    },
  }
}

async function plantDataset(name: string): Promise<ForeignThing> {
  await command('zfs', 'create', name)
  await writeFile(join('/', name, 'file'), 'theirs')
  const guid = await guidOf(name)
  return {
    async expectIntact() {
      expect(await guidOf(name)).toBe(guid)
      expect(await readFile(join('/', name, 'file'), 'utf8')).toBe('theirs')
    },
  }
}

async function plantSnapshot(name: string): Promise<ForeignThing> {
  await command('zfs', 'snapshot', name)
  const guid = await guidOf(name)
  return {
    async expectIntact() {
      expect(await guidOf(name)).toBe(guid)
    },
  }
}

/** A dataset beside the lab's, and a snapshot of it. */
async function plantTree(above: string): Promise<ForeignSource> {
  const dataset = await plantDataset(above)
  const name = `${above}@one`
  const snapshot = await plantSnapshot(name)
  return {
    ...{ name, above },
    async expectIntact() {
      await dataset.expectIntact()
      await snapshot.expectIntact()
    },
  }
}

async function guidOf(name: string): Promise<string> {
  return command('zfs', 'get', '-Hp', '-o', 'value', 'guid', name)
}
