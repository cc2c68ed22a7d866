import { access, chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openStorage, type StorageConfig } from '../../src/storage/open.ts'
import { hasProgram, isRoot, mountedImage } from '../../testbed/index.ts'
import { OWNER } from './world.ts'

const canMount = isRoot && hasProgram('mkfs.btrfs')

describe('the choice of a driver', () => {
  test.skipIf(!isRoot)('where nothing better works, auto takes copy, and says why and what would help', async () => {
    await using image = await mountedImage('ext4')
    const opened = await openStorage(configFor(join(image.directory, 'root')))
    expect(opened.choice).toMatchObject({ driver: 'copy', embedded: false })
    expect(opened.choice.passedOver.map(({ driver }) => driver)).toEqual(['zfs', 'btrfs', 'reflink'])
    for (const { reason, hint } of opened.choice.passedOver) {
      expect(reason).not.toBe('')
      expect(hint).not.toBe('')
    }
  })

  test.skipIf(!canMount)('auto takes btrfs where the root directory lies on it, rather than an image', async () => {
    await using disk = await mountedImage('btrfs')
    const image = { path: join(disk.directory, 'image'), sizeBytes: 2 ** 30 }
    const opened = await openStorage({ ...configFor(join(disk.directory, 'root')), image })
    expect(opened.choice).toMatchObject({ driver: 'btrfs', embedded: false })
    await expect(access(image.path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test.skipIf(!canMount)('auto makes an embedded pool where it may, and a named driver is taken as it is', async () => {
    await using disk = await mountedImage('xfs')
    const image = { path: join(disk.directory, 'image'), sizeBytes: 2 ** 30 }
    const opened = await openStorage({ ...configFor(join(disk.directory, 'root')), image })
    expect(opened.choice).toMatchObject({ driver: 'btrfs', embedded: true, passedOver: [{ driver: 'zfs' }] })
    const named = await openStorage({
      ...configFor(join(disk.directory, 'other')),
      image: undefined,
      driver: 'reflink',
    })
    expect(named.choice).toEqual({ driver: 'reflink', embedded: false, passedOver: [] })
    await opened.destroy()
  })

  test.skipIf(!isRoot)('a root directory stays with its driver, also when a better one comes along', async () => {
    await using disk = await mountedImage('xfs')
    const config = configFor(join(disk.directory, 'root'))
    const first = await openStorage({ ...config, driver: 'copy' })
    await first.driver.createVolume('kept')
    const second = await openStorage(config)
    expect(second.choice.driver).toBe('copy')
    expect(second.choice.passedOver.map(({ driver }) => driver)).toEqual(['zfs', 'btrfs', 'reflink'])
    expect(await second.driver.listVolumes()).toHaveLength(1)
    await expect(openStorage({ ...config, driver: 'reflink' })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  test('a driver that can’t work is UNAVAILABLE, with what is missing', async () => {
    await using world = await temporary()
    for (const driver of ['zfs', 'btrfs'] as const) {
      const opening = openStorage({ ...configFor(join(world.path, 'root')), driver })
      await expect(opening).rejects.toMatchObject({ code: 'UNAVAILABLE', hint: expect.stringMatching(/./) })
    }
    await expect(access(join(world.path, 'root'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a configuration that no driver could take is INVALID', async () => {
    for (const wrong of [{ root: 'relative' }, { root: '/' }, { labId: 'A b' }, { labId: '' }]) {
      const opening = openStorage({ ...configFor('/nowhere'), ...wrong })
      await expect(opening).rejects.toMatchObject({ code: 'INVALID' })
    }
  })
})

describe('the root directory', () => {
  test('directories above the volumes can be passed but not listed by others, snapshots not at all', async () => {
    await using world = await temporary()
    const before = process.umask(0o077)
    try {
      const root = join(world.path, 'made', 'on the way', 'root')
      const { driver } = await openStorage({ ...configFor(root), driver: 'copy' })
      const { path } = await driver.createVolume('v')
      const mode = async (...names: string[]) => (await stat(join(world.path, ...names))).mode & 0o777
      expect(await mode('made')).toBe(0o711)
      expect(await mode('made', 'on the way', 'root')).toBe(0o711)
      expect(await mode('made', 'on the way', 'root', 'volumes')).toBe(0o711)
      expect(await mode('made', 'on the way', 'root', 'volumes', 'v')).toBe(0o711)
      expect(await mode('made', 'on the way', 'root', 'volumes', 'v', 'label.json')).toBe(0o600)
      expect(await mode('made', 'on the way', 'root', 'snapshots')).toBe(0o700)
      expect((await stat(path)).mode & 0o777).toBe(0o700)
    } finally {
      process.umask(before)
    }
  })

  test.skipIf(!isRoot)('a directory that the owner of the data may not pass is UNAVAILABLE, by its name', async () => {
    await using world = await temporary()
    await mkdir(join(world.path, 'closed'), { mode: 0o700 })
    const opening = openStorage({ ...configFor(join(world.path, 'closed', 'root')), driver: 'copy' })
    await expect(opening).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining(`${world.path}/closed`),
    })
  })

  test('destroying the storage removes what it made, and the root directory if it made that', async () => {
    await using world = await temporary()
    const opened = await openStorage({ ...configFor(join(world.path, 'root')), driver: 'copy' })
    await opened.driver.createVolume('source')
    await opened.driver.snapshot('source', 'base')
    await opened.driver.clone({ volumeId: 'source', snapshotId: 'base' }, 'child')
    await opened.driver.snapshot('child', 'base')
    await opened.destroy()
    expect(await readdir(world.path)).toEqual([])
  })

  test('destroying the storage leaves what is others’, and a root directory that was there', async () => {
    await using world = await temporary()
    const config = { ...configFor(join(world.path, 'root')), driver: 'copy' as const }
    await mkdir(config.root)
    await chmod(config.root, 0o755)
    await writeFile(join(config.root, 'theirs'), 'x')
    const opened = await openStorage(config)
    const other = await openStorage({ ...config, labId: 'other' })
    await opened.driver.createVolume('ours')
    await other.driver.createVolume('theirs')
    await opened.destroy()
    expect(await other.driver.listVolumes()).toHaveLength(1)
    await other.destroy()
    expect(await readdir(config.root)).toEqual(['theirs'])
  })
})

function configFor(root: string): StorageConfig {
  return { driver: 'auto', labId: 'lab', root, owner: OWNER }
}

async function temporary(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'open-'))
  await chmod(path, 0o755)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}
