import { randomBytes, randomInt } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, rm, statfs, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Instance } from '@dblab/models'
import { command, isRoot } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { Catalogue } from '../../src/catalogue/catalogue.ts'
import { createClone, urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { query } from '../support/sql.ts'

const ROUNDS = Number(process.env.TORN_ROUNDS ?? 4)

test('a lab whose catalogue was torn anywhere has all its clones, or removes nothing', {
  timeout: 180_000,
}, async () => {
  await using lab = await TestLab.make({ driver: 'copy' })
  await lab.start()
  const kept = await createClone(lab, { id: 'kept' })
  const fresh = await createClone(lab, { id: 'fresh' })
  await lab.kill()
  const before = await leftovers(lab.directory)
  const file = join(lab.directory, '.dblab/catalogue.db')
  const good = join(lab.directory, 'good')
  await mkdir(good)
  const parts = ['', '-wal', '-seal']
  const identity = await lab.readDataFile('lab.json')
  for (const part of parts) await copyFile(`${file}${part}`, join(good, `catalogue${part}`))
  for (let round = 0; round < ROUNDS; round++) {
    for (const part of parts) await copyFile(join(good, `catalogue${part}`), `${file}${part}`)
    await rm(`${file}-shm`, { force: true })
    await writeFile(join(lab.directory, '.dblab/lab.json'), identity)
    const target = `${file}${round % 2 === 0 ? '-wal' : ''}`
    const { length } = await readFile(target)
    const [offset, cut] = [randomInt(length), round < 2]
    if (cut) await truncate(target, offset)
    else
      await writeFile(target, (await readFile(target)).fill(randomBytes(200), offset, Math.min(length, offset + 3000)))
    await lab.start()
    const { clones, warnings } = (await (await lab.fetch('/status')).json()) as Instance
    const what = `${cut ? 'cut' : 'overwritten'} at ${offset} of ${target}: ${lab.output.slice(0, 1000)}`
    if (warnings.length === 0) expect(clones.map(({ id }) => id).sort(), what).toEqual(['fresh', 'kept'])
    else
      expect(
        warnings.map(({ code, hint }) => [code, hint]),
        what,
      ).toEqual([['CATALOGUE_LOST', expect.stringContaining('npm run rebuild')]])
    await lab.kill()
    expect(await leftovers(lab.directory), what).toEqual(before)
    for (const clone of [kept, fresh]) expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  }
  for (const part of parts) await copyFile(join(good, `catalogue${part}`), `${file}${part}`)
  await rm(`${file}-shm`, { force: true })
  await writeFile(join(lab.directory, '.dblab/lab.json'), identity)
})

/** A small ext4 that a test can fill. */
async function smallDisk() {
  const top = await mkdtemp(join(tmpdir(), 'dblab-small-'))
  const directory = join(top, 'mounted')
  await mkdir(directory)
  await command('truncate', '--size=16M', join(top, 'image'))
  await command('mkfs.ext4', '-q', '-m', '0', join(top, 'image'))
  await command('mount', '-o', 'loop', join(top, 'image'), directory)
  return {
    directory,
    async fill() {
      const { bavail, bsize } = await statfs(directory)
      await writeFile(join(directory, 'fill'), Buffer.alloc(bavail * bsize, 1)).catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'ENOSPC' })
      })
    },
    async [Symbol.asyncDispose]() {
      await command('umount', directory)
      await rm(top, { recursive: true })
    },
  }
}

test.skipIf(!isRoot)(
  'on a disk that fills up while it is written, a catalogue keeps all that it acknowledged (root only: it mounts one)',
  { timeout: 60_000 },
  async () => {
    await using disk = await smallDisk()
    const file = join(disk.directory, 'catalogue.db')
    const catalogue = Catalogue.create(file, 'lab')
    const acknowledged: string[] = []
    const add = (n: number) => {
      catalogue.volumes.add(`volume-${n}`, 'base')
      acknowledged.push(`volume-${n}`)
    }
    add(0)
    await disk.fill()
    expect(() => {
      for (let n = 1; n < 100_000; n++) add(n)
    }).toThrow(/full/)
    expect(
      catalogue.volumes
        .list()
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...acknowledged].sort())
    // As a kill would leave it.
    for (const part of ['', '-wal', '-seal'])
      await copyFile(`${file}${part}`, join(disk.directory, '..', `copy${part}`))
    const copy = Catalogue.open(join(disk.directory, '../copy'), 'lab', 0)
    expect(
      copy.volumes
        .list()
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...acknowledged].sort())
    copy.close()
    await rm(join(disk.directory, 'fill'))
    add(200_000)
    catalogue.close()
    const again = Catalogue.open(file, 'lab', 0)
    expect(
      again.volumes
        .list()
        .map(({ id }) => id)
        .sort(),
    ).toEqual([...acknowledged].sort())
    again.close()
  },
)
