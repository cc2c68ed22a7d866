import { randomBytes } from 'node:crypto'
import {
  access,
  chmod,
  mkdir,
  mkdtemp,
  open as openFile,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { storageConformance } from '../../conformance/index.ts'
import { openStorage } from '../../src/storage/open.ts'
import { command, describeDriver, hasProgram, isRoot } from '../../testbed/index.ts'
import { OWNER, rootHarness } from './world.ts'

const MIB = 1024 * 1024
const SIZE = 512 * MIB

function lacks(): string | undefined {
  if (!isRoot) return 'only root can mount a file system'
  return hasProgram('mkfs.btrfs') ? undefined : 'btrfs-progs is not installed'
}

describeDriver('btrfs', lacks(), () => {
  storageConformance('btrfs, embedded', async () => {
    const world = await imageWorld()
    const config = { ...world.config, quotas: true }
    const opened = await openStorage(config)
    return {
      driver: opened.driver,
      config,
      ...rootHarness('btrfs', world.root),
      async [Symbol.asyncDispose]() {
        await opened.detach()
        await world[Symbol.asyncDispose]()
      },
    }
  })

  test('the image is sparse, private, and mounted as it should be', async () => {
    await using world = await imageWorld()
    const { choice } = await openStorage(world.config)
    expect(choice).toEqual({ driver: 'btrfs', embedded: true, passedOver: [] })
    const { mode, size, blocks } = await stat(world.image)
    expect(mode & 0o777).toBe(0o600)
    expect(size).toBe(SIZE)
    expect(blocks * 512).toBeLessThan(SIZE / 4)
    expect(await mountOptions(world.root)).toEqual(expect.arrayContaining(['noatime', 'user_subvol_rm_allowed']))
  })

  test('opening it again while it is mounted attaches no second loop device', async () => {
    await using world = await imageWorld()
    const { driver } = await openStorage(world.config)
    const devices = await loopDevices(world.image)
    await driver.createVolume('kept')
    const again = await openStorage(world.config)
    expect(await loopDevices(world.image)).toEqual(devices)
    expect(devices).toHaveLength(1)
    expect(await again.driver.listVolumes()).toHaveLength(1)
  })

  test('opened by who says nothing of quotas, it keeps the bounds of its volumes', async () => {
    await using world = await imageWorld()
    const bounded = await openStorage({ ...world.config, quotas: true })
    await bounded.driver.createVolume('source')
    await bounded.driver.snapshot('source', 'taken')
    await bounded.driver.clone({ volumeId: 'source', snapshotId: 'taken' }, 'clone', {}, { quotaBytes: 16 * MIB })
    await bounded.detach()
    await (await openStorage(world.config)).detach()
    const again = await openStorage({ ...world.config, quotas: true })
    expect(await again.driver.volumeUsage('clone')).toMatchObject({ quotaBytes: 16 * MIB })
  })

  test('what its device has lost is told with what the pool has left', async () => {
    await using world = await imageWorld()
    const { driver } = await openStorage(world.config)
    expect(await driver.usage()).toMatchObject({ health: 'OK', healthDetail: '' })
    const { path } = await driver.createVolume('damaged')
    const content = randomBytes(64 * 1024)
    await writeFile(join(path, 'file'), content)
    await reboot(world)
    await overwrite(world.image, content.subarray(0, 4096))
    const after = await openStorage(world.config)
    await expect(readFile(join(path, 'file'))).rejects.toMatchObject({ code: 'EIO' })
    expect(await after.driver.usage()).toMatchObject({
      health: 'DEGRADED',
      healthDetail: expect.stringMatching(/^device 1: corruption_errs [1-9]\d*$/),
    })
  })

  test('it is found again after a reboot, under auto as well', async () => {
    await using world = await imageWorld()
    const { driver } = await openStorage(world.config)
    const { path } = await driver.createVolume('kept', { note: 'x' })
    await writeFile(join(path, 'file'), 'before the reboot')
    await reboot(world)
    await expect(access(path)).rejects.toMatchObject({ code: 'ENOENT' })
    const after = await openStorage({ ...world.config, driver: 'auto' })
    expect(after.choice).toMatchObject({ driver: 'btrfs', embedded: true })
    expect(await after.driver.listVolumes()).toEqual([{ id: 'kept', path, origin: undefined, labels: { note: 'x' } }])
    expect(await readFile(join(path, 'file'), 'utf8')).toBe('before the reboot')
  })

  test('a crash between attaching and mounting leaves a loop device that is used', async () => {
    await using world = await imageWorld()
    await openStorage(world.config)
    await command('umount', world.root)
    const devices = await loopDevices(world.image)
    await openStorage(world.config)
    expect(await loopDevices(world.image)).toEqual(devices)
  })

  test('detached, it leaves neither mount nor loop device, and detaching twice is fine', async () => {
    await using world = await imageWorld()
    const opened = await openStorage(world.config)
    await opened.detach()
    await opened.detach()
    expect(await loopDevices(world.image)).toEqual([])
    expect(await mountOptions(world.root)).toEqual([])
  })

  test('while a file is open it can’t be detached, and stays usable', async () => {
    await using world = await imageWorld()
    const opened = await openStorage(world.config)
    const { path } = await opened.driver.createVolume('busy')
    {
      await using _file = await openFile(join(path, 'file'), 'wx')
      await expect(opened.detach()).rejects.toMatchObject({
        code: 'IN_USE',
        message: expect.stringContaining(`(process ${process.pid})`),
        hint: expect.stringContaining('fuser'),
      })
      expect(await opened.driver.listVolumes()).toHaveLength(1)
    }
    await opened.detach()
  })

  test('that is in use for some seconds more, as by what a killed server had begun, is detached after that', async () => {
    await using world = await imageWorld()
    const opened = await openStorage(world.config)
    const { path } = await opened.driver.createVolume('busy')
    const used = command('sh', '-c', 'cd "$0" && sleep 5', path)
    await opened.detach()
    expect(await mountOptions(world.root)).toEqual([])
    await used
  })

  test('it grows while it is in use, and never shrinks', async () => {
    await using world = await imageWorld()
    const opened = await openStorage(world.config)
    const { path } = await opened.driver.createVolume('kept')
    await writeFile(join(path, 'file'), 'x')
    await openStorage({ ...world.config, image: { path: world.image, sizeBytes: 2 * SIZE } })
    expect((await opened.driver.usage()).sizeBytes).toBe(2 * SIZE)
    const again = await openStorage(world.config)
    expect((await again.driver.usage()).sizeBytes).toBe(2 * SIZE)
    expect(await readFile(join(path, 'file'), 'utf8')).toBe('x')
  })

  test('a growth that a crash cut off is completed by the next opening', async () => {
    await using world = await imageWorld()
    await openStorage(world.config)
    await truncate(world.image, 2 * SIZE)
    const again = await openStorage(world.config)
    expect((await again.driver.usage()).sizeBytes).toBe(2 * SIZE)
  })

  test('opened with a larger size, it grows', async () => {
    await using world = await imageWorld()
    await (await openStorage(world.config)).detach()
    const again = await openStorage({ ...world.config, image: { path: world.image, sizeBytes: 2 * SIZE } })
    expect((await again.driver.usage()).sizeBytes).toBe(2 * SIZE)
  })

  test('its free space is no more than its host’s', async () => {
    await using world = await imageWorld()
    await mkdir(join(world.top, 'small'))
    await command('mount', '-t', 'tmpfs', '-o', 'size=200m', 'tmpfs', join(world.top, 'small'))
    const image = { path: join(world.top, 'small', 'image'), sizeBytes: SIZE }
    const opened = await openStorage({ ...world.config, image })
    try {
      const { bavail, bsize } = await statfs(join(world.top, 'small'))
      const { freeBytes } = await opened.driver.usage()
      expect(freeBytes).toBeLessThanOrEqual(200 * MIB)
      expect(Math.abs(freeBytes - bavail * bsize)).toBeLessThan(8 * MIB)
    } finally {
      await opened.destroy()
      await command('umount', join(world.top, 'small'))
    }
  })

  test('an image that a crash left half made is made anew', async () => {
    await using world = await imageWorld()
    await writeFile(`${world.image}.making`, 'half of a superblock')
    await openStorage(world.config)
    await expect(access(`${world.image}.making`)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('an empty file that stands in its place is taken over', async () => {
    await using world = await imageWorld()
    await writeFile(world.image, '')
    await truncate(world.image, SIZE)
    await openStorage(world.config)
    expect(await loopDevices(world.image)).toHaveLength(1)
  })

  test.each(['content', 'ext4'])('a file with %s in it is never formatted', async (what) => {
    await using world = await imageWorld()
    await writeFile(world.image, 'precious '.repeat(100_000))
    if (what === 'ext4') await command('mkfs.ext4', '-q', '-F', world.image, '16M')
    const before = await readFile(world.image)
    await expect(openStorage(world.config)).rejects.toMatchObject({ code: 'UNAVAILABLE', hint: expect.any(String) })
    await expect(openStorage({ ...world.config, driver: 'auto' })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect((await readFile(world.image)).equals(before)).toBe(true)
  })

  test('it is not mounted over what a directory holds', async () => {
    await using world = await imageWorld()
    await mkdir(world.root)
    await writeFile(join(world.root, 'precious'), 'x')
    await expect(openStorage(world.config)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await readFile(join(world.root, 'precious'), 'utf8')).toBe('x')
    expect(await loopDevices(world.image)).toEqual([])
  })

  test('where mounting is not allowed no image is left behind, and auto passes on', async () => {
    await using world = await imageWorld()
    const path = process.env.PATH
    await mkdir(join(world.top, 'bin'))
    await writeFile(join(world.top, 'bin', 'mount'), '#!/bin/sh\necho mount: permission denied. >&2\nexit 32\n', {
      mode: 0o755,
    })
    process.env.PATH = `${join(world.top, 'bin')}:${path}`
    try {
      await expect(openStorage(world.config)).rejects.toMatchObject({ code: 'UNAVAILABLE', hint: expect.any(String) })
      await expect(access(world.image)).rejects.toMatchObject({ code: 'ENOENT' })
      const other = await openStorage({ ...world.config, driver: 'auto' })
      expect(other.choice.passedOver).toContainEqual(expect.objectContaining({ driver: 'btrfs' }))
      await other.destroy()
    } finally {
      process.env.PATH = path
    }
    expect(await loopDevices(world.image)).toEqual([])
  })

  test('destroyed, nothing of it is left', async () => {
    await using world = await imageWorld()
    const opened = await openStorage(world.config)
    await opened.driver.createVolume('source')
    await opened.driver.snapshot('source', 'base')
    await opened.driver.clone({ volumeId: 'source', snapshotId: 'base' }, 'child')
    await opened.destroy()
    for (const path of [world.image, world.root]) await expect(access(path)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await mountOptions(world.root)).toEqual([])
  })

  test('an image that was not made here is used but not deleted', async () => {
    await using world = await imageWorld()
    await command('truncate', `--size=${SIZE}`, world.image)
    await command('mkfs.btrfs', '-q', '-L', 'mine', world.image)
    const opened = await openStorage(world.config)
    await opened.driver.createVolume('source')
    await opened.destroy()
    expect(await loopDevices(world.image)).toEqual([])
    await access(world.image)
  })

  test('an image that was moved keeps its volumes', async () => {
    await using world = await imageWorld()
    const opened = await openStorage(world.config)
    await opened.driver.createVolume('kept')
    await opened.detach()
    const path = join(world.top, 'moved')
    await rename(world.image, path)
    const moved = await openStorage({ ...world.config, image: { path, sizeBytes: SIZE } })
    expect(await moved.driver.listVolumes()).toHaveLength(1)
    await moved.destroy()
  })
})

interface ImageWorld extends AsyncDisposable {
  top: string
  image: string
  root: string
  config: {
    driver: 'btrfs'
    labId: string
    root: string
    owner: typeof OWNER
    image: { path: string; sizeBytes: number }
  }
}

async function imageWorld(): Promise<ImageWorld> {
  const top = await mkdtemp(join(tmpdir(), 'image-'))
  await chmod(top, 0o755)
  const [image, root] = [join(top, 'image'), join(top, 'root')]
  return {
    top,
    image,
    root,
    config: { driver: 'btrfs', labId: 'lab', root, owner: OWNER, image: { path: image, sizeBytes: SIZE } },
    async [Symbol.asyncDispose]() {
      if ((await mountOptions(root)).length > 0) await command('umount', root)
      for (const device of await loopDevices(image)) await command('losetup', '--detach', device)
      await rm(top, { recursive: true })
    },
  }
}

/** What a reboot leaves: the file. */
async function reboot(world: ImageWorld): Promise<void> {
  await command('umount', world.root)
  for (const device of await loopDevices(world.image)) await command('losetup', '--detach', device)
}

async function loopDevices(image: string): Promise<string[]> {
  const stdout = await command('losetup', '--list', '--noheadings', '--output', 'NAME,BACK-FILE')
  const lines = stdout.split('\n').map((line) => line.trim().split(/\s+/))
  return lines.flatMap(([device, file]) => (device !== undefined && file === image ? [device] : []))
}

async function mountOptions(mountPoint: string): Promise<string[]> {
  const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '))
  return lines.findLast(([, point]) => point === mountPoint)?.[3]?.split(',') ?? []
}

/** Zeros in the image where these bytes are, as a bad disk would lose them. */
async function overwrite(image: string, bytes: Buffer): Promise<void> {
  await using file = await openFile(image, 'r+')
  const part = Buffer.alloc(16 * MIB)
  for (let start = 0; start < SIZE; start += part.length) {
    await file.read(part, 0, part.length, start)
    // What is written as a file of its own begins with a block of its own, so that it does not lie across two parts.
    const at = part.indexOf(bytes)
    if (at === -1) continue
    await file.write(Buffer.alloc(bytes.length), 0, bytes.length, start + at)
    return
  }
  throw new Error(`the bytes are not in ${image}`)
}
