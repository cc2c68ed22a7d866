import { execFileSync } from 'node:child_process'
import {
  chmod,
  chown,
  lstat,
  lutimes,
  mkdir,
  open as openFile,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isRoot } from '../testbed/index.ts'
import type { OpenHarness } from './harness.ts'
import { SOURCE } from './support.ts'

const MIB = 1024 * 1024
const LONG_AGO = new Date('2001-02-03T04:05:06Z')

export function filesStayAsTheyAre(open: OpenHarness): void {
  describe('files in a clone', () => {
    test('modes, times and owners are kept', async () => {
      await using world = await open()
      const { path } = await world.driver.createVolume('source')
      await mkdir(join(path, 'closed'))
      await writeFile(join(path, 'closed', 'script'), '#!', { mode: 0o600 })
      await chmod(join(path, 'closed', 'script'), 0o4751)
      if (isRoot) await chown(join(path, 'closed', 'script'), 12_345, 54_321)
      if (isRoot) await chmod(join(path, 'closed', 'script'), 0o4751)
      await utimes(join(path, 'closed', 'script'), LONG_AGO, LONG_AGO)
      await chmod(join(path, 'closed'), 0o550)
      await utimes(join(path, 'closed'), LONG_AGO, LONG_AGO)
      const before = [await facts(path), await facts(join(path, 'closed')), await facts(join(path, 'closed', 'script'))]
      await world.driver.snapshot('source', 'base')
      const clone = await world.driver.clone(SOURCE, 'child')
      const closed = join(clone.path, 'closed')
      expect([await facts(clone.path), await facts(closed), await facts(join(closed, 'script'))]).toEqual(before)
      await world.driver.destroyVolume('child')
      expect(await world.content()).toEqual(['source', 'source@base'])
    })

    test('symbolic links are kept as links, dangling ones too', async () => {
      await using world = await open()
      const { path } = await world.driver.createVolume('source')
      const links = { relative: '../x', absolute: '/etc/passwd', dangling: 'nowhere/at all' }
      for (const [name, target] of Object.entries(links)) await symlink(target, join(path, name))
      await lutimes(join(path, 'dangling'), LONG_AGO, LONG_AGO)
      await world.driver.snapshot('source', 'base')
      const clone = await world.driver.clone(SOURCE, 'child')
      for (const [name, target] of Object.entries(links)) expect(await readlink(join(clone.path, name))).toBe(target)
      expect((await lstat(join(clone.path, 'dangling'))).mtime).toEqual(LONG_AGO)
    })

    test('a sparse file keeps its size, its bytes and its holes', async () => {
      await using world = await open()
      const { path } = await world.driver.createVolume('source')
      {
        await using file = await openFile(join(path, 'sparse'), 'wx')
        await file.write(Buffer.from('head'), 0, 4, 0)
        await file.write(Buffer.from('tail'), 0, 4, 32 * MIB)
        await file.truncate(64 * MIB)
        await file.sync()
      }
      await world.driver.snapshot('source', 'base')
      const clone = await world.driver.clone(SOURCE, 'child')
      const { size, blocks } = await stat(join(clone.path, 'sparse'))
      expect(size).toBe(64 * MIB)
      expect(blocks * 512).toBeLessThan(4 * MIB)
      await using file = await openFile(join(clone.path, 'sparse'), 'r')
      const read = async (position: number) => (await file.read(Buffer.alloc(4), 0, 4, position)).buffer.toString()
      expect([await read(0), await read(MIB), await read(32 * MIB)]).toEqual(['head', '\0\0\0\0', 'tail'])
    })

    test('a tree of many small files and deep directories arrives whole', async () => {
      await using world = await open()
      const { path } = await world.driver.createVolume('source')
      const deep = join(path, ...Array.from({ length: 30 }, (_, i) => `level ${i} ü`))
      await mkdir(deep, { recursive: true })
      await writeFile(join(deep, 'bottom'), 'here')
      await mkdir(join(path, 'wide'))
      for (let i = 0; i < 200; i++) await writeFile(join(path, 'wide', `${i}`), `${i}`)
      await world.driver.snapshot('source', 'base')
      const clone = await world.driver.clone(SOURCE, 'child')
      expect(await readFile(join(clone.path, deep.slice(path.length), 'bottom'), 'utf8')).toBe('here')
      const names = await readdir(join(clone.path, 'wide'))
      expect(names).toHaveLength(200)
      for (const name of names) expect(await readFile(join(clone.path, 'wide', name), 'utf8')).toBe(name)
    })

    test('sockets and pipes are no obstacle', async () => {
      await using world = await open()
      const { path } = await world.driver.createVolume('source')
      execFileSync('mkfifo', [join(path, 'pipe')])
      await writeFile(join(path, 'file'), 'x')
      await world.driver.snapshot('source', 'base')
      const clone = await world.driver.clone(SOURCE, 'child')
      expect(await readFile(join(clone.path, 'file'), 'utf8')).toBe('x')
    })
  })
}

async function facts(path: string) {
  const { mode, uid, gid, mtime } = await stat(path)
  return { mode: mode.toString(8), uid, gid, mtime: Math.trunc(mtime.getTime() / 1000) }
}
