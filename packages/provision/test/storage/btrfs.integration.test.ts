import { execFileSync } from 'node:child_process'
import { access, stat } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { storageConformance } from '../../conformance/index.ts'
import { command, describeDriver, hasProgram, isRoot, type MountedImage, mountedImage } from '../../testbed/index.ts'
import { btrfsProgramWorld, directoryWorld } from './world.ts'

/** A directory on btrfs; set to run without root, which making one takes. */
const given = process.env.STORAGE_TEST_DIRECTORY

function lacks(): string | undefined {
  if (!hasProgram('btrfs')) return 'btrfs-progs is not installed'
  return given === undefined && !isRoot ? 'only root can mount a file system' : undefined
}

describeDriver('btrfs', lacks(), () => {
  let image: MountedImage | undefined
  let directory = given ?? ''
  beforeAll(async () => {
    if (given !== undefined) return
    image = await mountedImage('btrfs', 'loop,user_subvol_rm_allowed')
    directory = image.directory
  })
  afterAll(() => image?.[Symbol.asyncDispose]())

  storageConformance('btrfs', () => directoryWorld('btrfs', directory))
  storageConformance('btrfs by its program', () => btrfsProgramWorld(directory))

  test('a volume in which its user has made subvolumes and snapshots can be destroyed', async () => {
    await using world = await directoryWorld('btrfs', directory)
    const { path } = await world.driver.createVolume('nesting')
    // As its owner, who works from within: the way to it is not for everybody.
    const { uid, gid } = await stat(path)
    const options = { cwd: path, ...(isRoot && { uid, gid }) }
    const asOwner = (...argv: [string, ...string[]]) => execFileSync(argv[0], argv.slice(1), options)
    asOwner('btrfs', 'subvolume', 'create', 'outer')
    asOwner('mkdir', 'outer/between')
    asOwner('btrfs', 'subvolume', 'create', 'outer/between/inner')
    asOwner('touch', 'outer/between/inner/file')
    asOwner('btrfs', 'subvolume', 'snapshot', '-r', 'outer/between/inner', 'frozen')
    await world.driver.snapshot('nesting', 'base')
    await world.driver.destroySnapshot({ volumeId: 'nesting', snapshotId: 'base' })
    await world.driver.destroyVolume('nesting')
    expect(await world.content()).toEqual([])
  })

  test.skipIf(!isRoot)('a volume is destroyed while a program works in it', async () => {
    await using world = await directoryWorld('btrfs', directory)
    const { path } = await world.driver.createVolume('busy')
    const pid = Number(execFileSync('sh', ['-c', 'sleep 60 >out 2>&1 & echo $!'], { cwd: path }))
    try {
      await world.driver.destroyVolume('busy')
      await expect(access(path)).rejects.toMatchObject({ code: 'ENOENT' })
    } finally {
      process.kill(pid)
    }
  })

  test('a pool whose file system has turned read-only is FAULTED, and says so', async ({ skip }) => {
    if (!isRoot) return skip('only root can remount')
    await using own = await mountedImage('btrfs')
    await using world = await directoryWorld('btrfs', own.directory)
    await command('mount', '-o', 'remount,ro', own.directory)
    try {
      expect(await world.driver.usage()).toMatchObject({
        health: 'FAULTED',
        healthDetail: expect.stringMatching(/read-only/),
      })
      await expect(world.driver.createVolume('late')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    } finally {
      await command('mount', '-o', 'remount,rw', own.directory)
    }
  })
})
