import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clone, Instance } from '@dblab/models'
import { command, describeDriver, hasProgram, isRoot, testOnZfs, zfsIsHere } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { postmasterOf, untilEnded } from '../support/postmaster.ts'
import { query } from '../support/sql.ts'
import { bystander } from './bystander.ts'

const timeout = 240_000
const rootless = isRoot ? undefined : 'only root can mount a file system'

async function get(lab: TestLab, id: string): Promise<Clone> {
  return (await (await lab.fetch(`/clone/${id}`)).json()) as Clone
}

async function status(lab: TestLab): Promise<Instance> {
  return (await (await lab.fetch('/status')).json()) as Instance
}

async function settles(lab: TestLab, id: string, code: string, pattern = /./): Promise<void> {
  const seen = async () => {
    const { status } = await get(lab, id)
    return status.code === code && pattern.test(status.message)
  }
  await eventually(`${id} is ${code} ${pattern}`, seen, 60_000).catch(async (error: unknown) => {
    throw new Error(`${JSON.stringify(await get(lab, id))}\n${lab.output.slice(-3000)}`, { cause: error })
  })
}

async function made(lab: TestLab, id: string): Promise<string> {
  const url = urlOf(await createClone(lab, { id }))
  await query(url, 'CREATE TABLE mine AS SELECT 42 AS answer')
  return url
}

async function hasItsData(url: string): Promise<void> {
  expect(await query(url, 'SELECT answer FROM mine')).toEqual([{ answer: 42 }])
}

/** Ends a clone's Postgres, and does something before the server can start it again. */
async function whileDown(lab: TestLab, url: string, work: (dataDir: string) => Promise<void>): Promise<void> {
  const { pid, dataDir } = await postmasterOf(url)
  process.kill(lab.pid, 'SIGSTOP')
  try {
    process.kill(pid, 'SIGKILL')
    await untilEnded({ dataDir })
    await work(dataDir)
  } finally {
    process.kill(lab.pid, 'SIGCONT')
  }
}

function poolOf(lab: TestLab): string {
  return join(lab.directory, '.dblab/pool')
}

/**
 * Until the server has written what it still adds to the labels of a pool of directories, in the background: a clone's state, a snapshot's
 * size. No file system can be made read-only while a file is open to be written.
 */
async function untilLabelled(lab: TestLab): Promise<void> {
  const labels = async (shelf: string) => {
    const directory = join(poolOf(lab), shelf)
    const texts = (await readdir(directory)).map((name) => readFile(join(directory, name, 'label.json'), 'utf8'))
    return (await Promise.all(texts)).map((text): Record<string, string> => JSON.parse(text).labels)
  }
  await eventually('all labels are written', async () => {
    const [volumes, snapshots] = [await labels('volumes'), await labels('snapshots')]
    return volumes.every(({ state }) => state === 'live') && snapshots.every(({ size }) => size !== undefined)
  })
}

if (!zfsIsHere() || !process.env.ZFS_VM) {
  describeDriver('btrfs', rootless ?? (hasProgram('mkfs.btrfs') ? undefined : 'there is no mkfs.btrfs'), () => {
    test('a pool that goes read-only: what fails says so, and all works again when it is writable', {
      timeout,
    }, async () => {
      await using lab = await TestLab.make({ driver: 'btrfs' })
      await lab.start()
      const url = await made(lab, 'down')
      await untilLabelled(lab)
      await whileDown(lab, url, async () => void (await command('mount', '-o', 'remount,ro', poolOf(lab))))
      await settles(lab, 'down', 'FATAL', /read-only/i)
      const created = await createClone(lab, { id: 'new' })
      expect(created.status).toMatchObject({ code: 'FATAL', message: expect.stringMatching(/read-only/i) })
      await eventually('the status tells', async () =>
        (await status(lab)).warnings.some(({ code, message }) => code === 'POOL_DEGRADED' && /read-only/.test(message)),
      )
      await lab.interrupt()
      expect(await lab.run(['start'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/read-only|EROFS/i) })
      await command('mount', '-o', 'remount,rw', poolOf(lab))
      await lab.start()
      await settles(lab, 'down', 'OK')
      await hasItsData(url)
      const reset = (await (await lab.fetch('/clone/new/reset?wait=60', { method: 'POST' })).json()) as Clone
      expect(reset.status.code).toBe('OK')
    })

    test('a pool that is unmounted under a running lab: nothing is taken for gone, and a start mounts it', {
      timeout,
    }, async () => {
      await using lab = await TestLab.make({ driver: 'btrfs' })
      await lab.start()
      const other = await bystander(lab)
      await made(lab, 'deleted')
      // What has files open in it goes on: to everybody else the directory is empty.
      await command('umount', '--lazy', poolOf(lab))
      const created = await createClone(lab, { id: 'new' })
      expect(created.status).toMatchObject({
        code: 'FATAL',
        message: expect.stringMatching(/is not there.*pool mounted/s),
      })
      expect((await lab.fetch('/clone/deleted', { method: 'DELETE' })).status).toBe(202)
      await eventually('it is gone', async () => (await lab.fetch('/clone/deleted')).status === 404)
      await eventually('the status tells', async () =>
        (await status(lab)).warnings.some(
          ({ code, message }) => code === 'POOL_DEGRADED' && /not mounted/.test(message),
        ),
      )
      expect((await leftovers(lab.directory)).volumes).toEqual([])
      await other.goesOn()
      await lab.interrupt()
      await lab.start()
      expect((await status(lab)).warnings).toEqual([])
      await eventually('what was deleted is gone', async () => (await leftovers(lab.directory)).volumes.length === 2)
      await other.end()
    })

    test('a pool whose image was moved away is neither made anew nor missed for good', { timeout }, async () => {
      await using lab = await TestLab.make({ driver: 'btrfs' })
      await lab.start()
      const url = await made(lab, 'kept')
      await lab.run(['stop'])
      const image = join(lab.directory, '.dblab/pool.img')
      await rename(image, `${image}.away`)
      for (const args of [['start'], ['rebuild', '--yes', '--force'], ['destroy', '--yes']]) {
        expect(await lab.run(args)).toMatchObject({
          code: 1,
          stderr: expect.stringContaining('Is a disk not mounted?'),
        })
      }
      await rename(`${image}.away`, image)
      await lab.start()
      await settles(lab, 'kept', 'OK')
      await hasItsData(url)
    })

    test('a call to btrfs that hangs: each operation ends and says what hung, and works when it is tried again', {
      timeout,
    }, async () => {
      await using lab = await TestLab.make({ driver: 'btrfs', config: { storage: { commandSeconds: 120 } } })
      await lab.start()
      const other = await bystander(lab)
      await made(lab, 'deleted')
      const kept = await made(lab, 'kept')
      // What makes a file system, and fills it, may take longer where nothing hangs.
      await lab.interrupt()
      const file = join(lab.directory, 'dblab.yaml')
      await writeFile(file, (await readFile(file, 'utf8')).replace('commandSeconds: 120', 'commandSeconds: 6'))
      const hanging = (verb: string) => ({ point: `before btrfs subvolume ${verb}`, action: 'delay', delayMs: 20_000 })
      const faults = [hanging('snapshot'), hanging('snapshot'), hanging('snapshot'), hanging('delete')]
      await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults }) })
      const created = await createClone(lab, { id: 'new' })
      expect(created.status).toMatchObject({
        code: 'FATAL',
        message: expect.stringMatching(/btrfs subvolume did not end in 6 s, and goes on/),
      })
      const reset = (await (await lab.fetch('/clone/kept/reset?wait=60', { method: 'POST' })).json()) as Clone
      expect(reset.status).toMatchObject({
        code: 'OK',
        message: expect.stringMatching(/reset failed.*did not end in 6 s/s),
      })
      await hasItsData(kept)
      const taken = await lab.fetch('/snapshot', { method: 'POST', json: {} })
      expect(taken.status).toBe(503)
      expect(await taken.json()).toMatchObject({
        code: 'STORAGE_UNAVAILABLE',
        detail: expect.stringMatching(/the snapshot could not be taken.*did not end in 6 s/),
      })
      expect((await lab.fetch('/clone/deleted', { method: 'DELETE' })).status).toBe(202)
      await eventually('it is gone', async () => (await lab.fetch('/clone/deleted')).status === 404, 80_000)
      await other.goesOn()
      const again = (await (await lab.fetch('/clone/new/reset?wait=60', { method: 'POST' })).json()) as Clone
      expect(again.status).toEqual({ code: 'OK', message: 'Database is ready' })
      const count = async () => (await leftovers(lab.directory)).volumes.length
      await expect.poll(count, { timeout: 60_000, message: lab.output }).toBe(4)
      await other.end()
    })
  })
}

/** A pool of the test's own, which it may take away. */
async function ownPool() {
  const directory = await mkdtemp(join(tmpdir(), 'pool-'))
  const name = `faults${process.pid}`
  await command('truncate', '--size=1G', join(directory, 'device'))
  await command('zpool', 'create', '-m', `/${name}`, name, join(directory, 'device'))
  return {
    name,
    exportIt: () => command('zpool', 'export', name),
    importIt: () => command('zpool', 'import', '-d', directory, name),
    async [Symbol.asyncDispose]() {
      await command('zpool', 'destroy', name)
      await rm(directory, { recursive: true })
    },
  }
}

if (zfsIsHere()) {
  describeDriver('zfs', rootless, () => {
    test('a zfs pool that is busy, read-only, unmounted, renamed or exported loses nothing', {
      timeout: 600_000,
    }, async () => {
      await using pool = await ownPool()
      const dataset = `${pool.name}/lab`
      await using lab = await TestLab.make({ driver: 'zfs', config: { storage: { dataset } } })
      await lab.start()
      const url = await made(lab, 'kept')
      const mountOf = async (of: string) => (await postmasterOf(of)).dataDir.replace(/\/data$/, '')

      // Busy: the clone goes for its user, and its volume as soon as it can.
      const busy = await mountOf(await made(lab, 'busy'))
      const holder = spawn('sleep', ['600'], { cwd: busy, stdio: 'ignore' })
      await lab.fetch('/clone/busy', { method: 'DELETE' })
      await eventually('it is gone', async () => (await lab.fetch('/clone/busy')).status === 404, 60_000)
      const names = async () => (await command('zfs', 'list', '-H', '-o', 'name', '-r', dataset)).split('\n')
      expect(await names()).toContain(busy.slice(1))
      holder.kill()
      await eventually('its dataset is gone', async () => !(await names()).includes(busy.slice(1)), 90_000)

      // Unmounted: never started on the empty directory below.
      const mount = await mountOf(url)
      await whileDown(lab, url, async () => {
        await command('zfs', 'unmount', mount.slice(1))
        expect(existsSync(join(mount, 'data'))).toBe(false)
      })
      await settles(lab, 'kept', 'OK', /started again/)
      await hasItsData(url)
      expect(await readFile('/proc/self/mounts', 'utf8')).toContain(` ${mount} `)

      // Read-only.
      await whileDown(lab, url, async () => void (await command('zfs', 'set', 'readonly=on', dataset)))
      await settles(lab, 'kept', 'FATAL', /read-only/i)
      const refused = (await (
        await lab.fetch('/clone?wait=60', { method: 'POST', json: { id: 'ro', db: LOGIN } })
      ).json()) as Clone
      expect(refused.status).toMatchObject({ code: 'FATAL', message: expect.stringMatching(/read-only/i) })
      await command('zfs', 'inherit', 'readonly', dataset)
      await settles(lab, 'kept', 'OK')
      await hasItsData(url)

      // Somewhere else, or not at all.
      await lab.run(['stop'])
      await command('zfs', 'rename', dataset, `${dataset}-away`)
      expect(await lab.run(['start'])).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/is gone.*nothing was changed/),
      })
      expect(await names().catch(() => [])).toEqual([])
      await command('zfs', 'rename', `${dataset}-away`, dataset)
      await pool.exportIt()
      for (const args of [['start'], ['destroy', '--yes']]) {
        expect(await lab.run(args)).toMatchObject({ code: 1, stderr: expect.stringMatching(/zpool import/) })
      }
      await pool.importIt()
      await lab.start()
      await settles(lab, 'kept', 'OK')
      await hasItsData(url)
      expect((await status(lab)).warnings).toEqual([])
    })
  })
} else {
  testOnZfs(
    'a zfs pool that fails loses nothing',
    { project: 'server-integration', file: 'test/faults/storage.integration.test.ts' },
    (passed) => expect(passed).toBe(1),
    { isLong: true },
  )
}
