import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { storageConformance } from '../../conformance/index.ts'
import { openStorage } from '../../src/storage/open.ts'
import { command, REPOSITORY, type TestPool, testOnZfs, testPool, zfsIsHere } from '../../testbed/index.ts'
import { zfsWorld } from './zfs-world.ts'

if (zfsIsHere()) declareTests()
else {
  const inner = { project: 'provision-integration', file: 'test/storage/zfs.integration.test.ts' }
  testOnZfs('the driver passes its tests on a kernel that has ZFS', inner, (passed) => {
    expect(passed).toBeGreaterThan(30)
  })
}

function declareTests(): void {
  let pool: TestPool | undefined
  beforeAll(async () => {
    pool = await testPool()
  })
  afterAll(() => pool?.[Symbol.asyncDispose]())
  const open = () => zfsWorld(pool?.name ?? '')

  storageConformance('zfs', open)

  describe('the dataset of a lab', () => {
    test('one that opening made is destroyed with the storage; what others keep in it stays', async () => {
      await using world = await open()
      const opened = await openStorage(world.config)
      await opened.driver.createVolume('source')
      await opened.driver.snapshot('source', 'base')
      await opened.driver.clone({ volumeId: 'source', snapshotId: 'base' }, 'child')
      const foreign = await world.plantVolume('theirs')
      await opened.destroy()
      expect(await world.content()).toEqual(['theirs'])
      await foreign.expectIntact()
      await command('zfs', 'destroy', `${world.dataset}/theirs`)
      const again = await openStorage(world.config)
      await again.destroy()
      expect(await exists(world.dataset)).toBe(false)
    })

    test('one that was there is used, and stays with its properties', async () => {
      await using world = await open()
      const dataset = `${world.parent}/given`
      await command('zfs', 'create', '-o', 'sync=disabled', '-o', 'atime=on', dataset)
      const opened = await openStorage({ ...world.config, dataset })
      await opened.driver.createVolume('source')
      await opened.destroy()
      const values = await command('zfs', 'get', '-Hp', '-o', 'value', 'sync,atime', dataset)
      expect(values).toBe('disabled\non\n')
      expect(await command('zfs', 'list', '-H', '-o', 'name', '-r', dataset)).toBe(`${dataset}\n`)
    })

    test('below a parent without a mount point it is mounted in the root directory', async () => {
      await using world = await open()
      await command('zfs', 'create', '-o', 'mountpoint=none', `${world.parent}/nowhere`)
      await chmod(world.config.root, 0o755)
      const opened = await openStorage({ ...world.config, dataset: `${world.parent}/nowhere/lab` })
      const { path } = await opened.driver.createVolume('source')
      expect(path).toBe(join(world.config.root, 'zfs', 'source'))
      await writeFile(join(path, 'file'), 'x')
      await opened.destroy()
      expect(await readdir(world.config.root)).not.toContain('zfs')
    })

    test('without a mount point of its own it is UNAVAILABLE', async () => {
      await using world = await open()
      await command('zfs', 'create', '-o', 'mountpoint=legacy', `${world.parent}/legacy`)
      const opening = openStorage({ ...world.config, dataset: `${world.parent}/legacy` })
      await expect(opening).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        hint: expect.stringMatching(/zfs set mountpoint/),
      })
    })

    test('in a pool that is not there it is UNAVAILABLE, and a name that is none is INVALID', async () => {
      await using world = await open()
      const opening = (dataset: string) => openStorage({ ...world.config, dataset })
      await expect(opening('no-such-pool/lab')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      await expect(opening(`${world.parent}/no/parent`)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      for (const name of ['-rf', 'a/-rf', '/tank', 'tank/a@b', 'tank//a', '']) {
        await expect(opening(name)).rejects.toMatchObject({ code: 'INVALID' })
      }
    })

    test('an ordinary account is told what it lacks', async () => {
      await using world = await open()
      const script = `
        import { openStorage } from '${REPOSITORY}/packages/provision/src/storage/open.ts'
        const error = await openStorage(${JSON.stringify({ ...world.config, owner: { uid: 1, gid: 1 } })}).catch((e) => e)
        console.log(JSON.stringify({ code: error.code, hint: error.hint }))`
      const argv = [
        '--reuid=1',
        '--regid=1',
        '--clear-groups',
        process.execPath,
        '--input-type=module-typescript',
        '-e',
        script,
      ]
      await chmod(world.config.root, 0o777)
      const told = await command('setpriv', ...argv)
      expect(JSON.parse(told)).toEqual({ code: 'UNAVAILABLE', hint: expect.stringMatching(/root/) })
    })
  })

  describe('volumes of zfs', () => {
    test('labels are properties of the dataset, and inherited ones are no labels', async () => {
      await using world = await open()
      await world.driver.createVolume('source', { note: 'x y' })
      const labels = await command(
        'zfs',
        'get',
        '-H',
        '-s',
        'local',
        '-o',
        'value',
        'dblab:labels',
        `${world.dataset}/source`,
      )
      expect(labels).toBe('{"note":"x y"}\n')
      await command('zfs', 'create', `${world.dataset}/source/below`)
      await command('zfs', 'set', 'dblab:lab=lab', 'dblab:kind=volume', world.dataset)
      await command('zfs', 'create', `${world.dataset}/beside`)
      expect((await world.driver.listVolumes()).map(({ id }) => id)).toEqual(['source'])
      await expect(world.driver.destroyVolume('source')).rejects.toMatchObject({
        code: 'IN_USE',
        users: ['source/below'],
      })
    })

    test('a renamed volume is not ours any more', async () => {
      await using world = await open()
      await world.driver.createVolume('source')
      await command('zfs', 'rename', `${world.dataset}/source`, `${world.dataset}/renamed`)
      expect(await world.driver.listVolumes()).toEqual([])
      await world.driver.destroyVolume('renamed')
      expect(await world.content()).toEqual(['renamed'])
    })

    test('a clone whose mount fails is undone', async () => {
      await using world = await open()
      await world.driver.createVolume('source')
      await world.driver.snapshot('source', 'base')
      const mountPoint = join('/', world.dataset)
      await writeFile(join(mountPoint, 'child'), 'in the way')
      await expect(world.driver.clone({ volumeId: 'source', snapshotId: 'base' }, 'child')).rejects.toMatchObject({
        name: 'ProvisionError',
      })
      expect(await world.content()).toEqual(['source', 'source@base'])
      expect(await readFile(join(mountPoint, 'child'), 'utf8')).toBe('in the way')
    })

    test('what a reboot left unmounted, or a crash half made, is put right by opening', async () => {
      await using world = await open()
      const { path } = await world.driver.createVolume('source')
      await writeFile(join(path, 'file'), 'x')
      await world.driver.createVolume('half')
      for (const name of ['half', 'source']) await command('zfs', 'unmount', `${world.dataset}/${name}`)
      await command('zfs', 'unmount', world.dataset)
      await command('zfs', 'set', 'dblab:kind=making', `${world.dataset}/half`)
      await expect(access(join(path, 'file'))).rejects.toMatchObject({ code: 'ENOENT' })
      await openStorage(world.config)
      expect(await readFile(join(path, 'file'), 'utf8')).toBe('x')
      expect(await world.content()).toEqual(['source'])
    })

    test('a volume that is busy for a moment is destroyed, and one that stays busy is IN_USE', async () => {
      await using world = await open()
      const { path } = await world.driver.createVolume('source')
      const child = spawn('sleep', ['600'], { cwd: path, stdio: 'ignore' })
      await once(child, 'spawn')
      await expect(world.driver.destroyVolume('source')).rejects.toMatchObject({
        code: 'IN_USE',
        hint: expect.any(String),
      })
      expect((await stat(path)).isDirectory()).toBe(true)
      setTimeout(() => child.kill(), 300)
      await world.driver.destroyVolume('source')
      expect(await world.content()).toEqual([])
    })

    test('a held snapshot is IN_USE', async () => {
      await using world = await open()
      await world.driver.createVolume('source')
      await world.driver.snapshot('source', 'base')
      const name = `${world.dataset}/source@base`
      await command('zfs', 'hold', 'test', name)
      await expect(world.driver.destroySnapshot({ volumeId: 'source', snapshotId: 'base' })).rejects.toMatchObject({
        code: 'IN_USE',
        hint: expect.stringMatching(/zfs holds/),
      })
      await command('zfs', 'release', 'test', name)
      await world.driver.destroySnapshot({ volumeId: 'source', snapshotId: 'base' })
    })

    test('the pool has no more room than the quota of its dataset leaves', async () => {
      await using world = await open()
      await command('zfs', 'set', 'quota=5M', world.dataset)
      const usage = await world.driver.usage()
      expect(usage.freeBytes).toBeLessThanOrEqual(5 << 20)
    })
  })
}

async function exists(dataset: string): Promise<boolean> {
  const names = await command('zfs', 'list', '-H', '-o', 'name', '-t', 'filesystem')
  return names.split('\n').includes(dataset)
}
