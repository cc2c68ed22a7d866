import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { TestLab } from '../support/lab.ts'
import { LiveSource } from './live-source.ts'
import { FILL } from './load.ts'
import { done, ended, inClone, lacking, needSource } from './world.ts'

const missing = lacking || (isRoot ? '' : ' (skipped: only root can make a pool on btrfs)')

/** Subvolumes in the lab's pool that are none of its own: one that a server runs in, and snapshots of that. */
class Theirs {
  readonly directory: string
  readonly snapshots: string

  constructor(lab: string) {
    this.directory = join(lab, '.dblab', 'pool', 'theirs')
    this.snapshots = join(this.directory, 'snapshots')
  }

  /** With a server in the first of them. */
  async fill(): Promise<LiveSource> {
    await mkdir(this.snapshots, { recursive: true })
    const directory = join(this.directory, 'prod')
    await run(['btrfs', 'subvolume', 'create', directory])
    const live = await LiveSource.make(needSource(), { directory })
    await live.query('postgres', 'CREATE DATABASE shop')
    await live.query('shop', ...FILL, 'DELETE FROM accounts')
    return live
  }

  async snapshot(name: string): Promise<void> {
    const [from, to] = [join(this.directory, 'prod'), join(this.snapshots, name)]
    await run(['btrfs', 'subvolume', 'snapshot', '-r', from, to])
  }

  async fingerprint(): Promise<string> {
    const { stdout } = await run(['find', this.snapshots, '-printf', '%P %s %T@ %C@ %u %m %l\n'])
    return stdout.split('\n').sort().join('\n')
  }
}

describe.skipIf(missing !== '')(`snapshots that the pool has already${missing}`, () => {
  test('become generations, each as of its own time, and stay as they are', async () => {
    await using parent = await temporaryDirectory()
    const theirs = new Theirs(parent.path)
    await using lab = await labIn(parent.path, { from: theirs.snapshots, snapshots: 'all', directory: 'data' })
    await lab.start()
    const { error } = await ended(lab)
    expect(error).toMatchObject({ code: 'NOT_FOUND', hint: expect.stringContaining('btrfs') })
    await using live = await theirs.fill()
    await live.query('shop', `INSERT INTO accounts VALUES (1, 'monday', 0)`)
    await live.stop('SIGINT')
    await theirs.snapshot('monday')
    await live.start()
    await live.query('shop', `INSERT INTO accounts VALUES (2, 'tuesday', 0)`)
    await theirs.snapshot('tuesday')
    const before = await theirs.fingerprint()
    // Killed when the older one is there, and the one that was wanted is not: no success.
    await lab.terminate()
    await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults: [{ point: 'import.published', action: 'kill' }] }) })
    expect(await lab.ended()).toBe('SIGKILL')
    await lab.start()
    await using api = lab.client()
    const { runs } = await api.retrieval.get()
    expect(runs[0]).toMatchObject({ outcome: 'FAILED', snapshot: '', error: { code: 'INTERRUPTED' } })
    await api.retrieval.refresh()
    await done(lab)
    const snapshots = await api.snapshots.list()
    expect(snapshots.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^From tuesday of 20/),
      expect.stringMatching(/^From monday of 20/),
    ])
    for (const { message, timestamp } of snapshots) {
      const createdAt = message.split(' of ')[1] ?? ''
      expect(Math.abs(Date.parse(timestamp) - Date.parse(createdAt))).toBeLessThan(60_000)
      expect(Date.parse(timestamp)).toBeGreaterThanOrEqual(Date.parse(createdAt))
    }
    const owners = (await inClone(lab, 'shop', (clone) => clone.query('SELECT owner FROM accounts ORDER BY id'))).rows
    expect(owners).toEqual([{ owner: 'monday' }, { owner: 'tuesday' }])
    await using old = await api.clones.create({ snapshot: snapshots[1]?.id ?? '', db: { dbName: 'shop' } })
    expect(old.snapshot).toBe(snapshots[1]?.id)
    expect(await theirs.fingerprint()).toBe(before)

    await api.retrieval.refresh()
    await done(lab)
    const again = (await api.snapshots.list()).map(({ message }) => message.split(' ')[1])
    expect(again).toEqual(['tuesday', 'tuesday', 'monday'])
    expect(await live.query('shop', 'SELECT count(*)::int AS n FROM accounts')).toEqual([{ n: 2 }])
  })

  test('are refused where the data is not in them, or not of the right account, and nothing is left', async () => {
    await using parent = await temporaryDirectory()
    const theirs = new Theirs(parent.path)
    await using lab = await labIn(parent.path, { from: join(theirs.directory, 'prod'), directory: 'data' })
    await lab.start()
    await ended(lab)
    await using live = await theirs.fill()
    await live.stop('SIGINT')
    await using api = lab.client()
    const refused = async () => {
      await api.retrieval.refresh()
      const { error } = await ended(lab)
      expect(await readdir(join(lab.directory, '.dblab/pool/volumes'))).toEqual([])
      return error
    }
    await run(['chown', 'nobody', live.dataDir])
    expect(await refused()).toMatchObject({ code: 'INVALID', hint: expect.stringContaining('postgres.user') })
    await run(['chown', live.account.name, live.dataDir])
    await rename(live.dataDir, `${live.dataDir}.away`)
    expect(await refused()).toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('there is no directory data in'),
    })
  })
})

async function temporaryDirectory(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'dblab-pool-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

function labIn(directory: string, source: Record<string, unknown>): Promise<TestLab> {
  const sources = [{ kind: 'directory', database: 'shop', ...source }]
  return TestLab.make({ driver: 'btrfs', directory, config: { retrieval: { sources } } })
}
