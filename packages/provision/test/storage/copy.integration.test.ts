import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { storageConformance } from '../../conformance/index.ts'
import { command, isRoot } from '../../testbed/index.ts'
import { directoryWorld } from './world.ts'

storageConformance('copy', () => directoryWorld('copy', tmpdir()))

test.skipIf(!isRoot)('a pool that is full says so, and nothing half copied is left', async () => {
  await using stack = new AsyncDisposableStack()
  const directory = (await command('mktemp', '-d')).trim()
  stack.defer(async () => void (await command('rmdir', directory)))
  await command('mount', '-t', 'tmpfs', '-o', 'size=16m,mode=0755', 'tmpfs', directory)
  stack.defer(async () => void (await command('umount', directory)))
  const world = await directoryWorld('copy', directory)
  const { path } = await world.driver.createVolume('big')
  await writeFile(join(path, 'file'), Buffer.alloc(6 << 20, 'x'))
  await world.driver.snapshot('big', 'base')
  const clone = world.driver.clone({ volumeId: 'big', snapshotId: 'base' }, 'child')
  await expect(clone).rejects.toMatchObject({ code: 'NO_SPACE', hint: expect.any(String) })
  expect(await world.content()).toEqual(['big', 'big@base'])
})
