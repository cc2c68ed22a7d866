import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Clone, Error as WireError } from '@dblab/models'
import { isRoot } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { createClone } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'

const execute = promisify(execFile)

/** Where every write fails with ENOSPC (full(4)). */
const FULL = '/dev/full'

/** A disk of its own that a test can fill. */
async function smallDisk(megabytes: number) {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-disk-'))
  await execute('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0711`, 'none', directory])
  let parts = 0
  return {
    directory,
    async fill() {
      // Into the last page: a file system rounds what is asked for.
      for (let bytes = 64 * 2 ** 20; bytes >= 4096; ) {
        const { bavail, bsize } = await statfs(directory)
        if (bavail * bsize < bytes) bytes /= 2
        else await writeFile(join(directory, `fill-${parts++}`), Buffer.alloc(bytes, 1))
      }
    },
    async empty() {
      await execute('sh', ['-c', 'rm -f "$0"/fill-*', directory])
    },
    async [Symbol.asyncDispose]() {
      await execute('umount', ['--lazy', directory])
      await rm(directory, { recursive: true })
    },
  }
}

test.skipIf(!existsSync(FULL))(
  `a log that can't be written ends nothing (needs ${FULL})`,
  { timeout: 120_000 },
  async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    lab.through = ['sh', '-c', `exec "$@" 2>${FULL}`, 'sh']
    await lab.start()
    const { pid } = lab
    const made = await createClone(lab, { id: 'unlogged' })
    expect(made.status.code).toBe('OK')
    expect((await lab.fetch('/clone/unlogged', { method: 'DELETE' })).status).toBe(202)
    await eventually('it is gone', async () => (await lab.fetch('/clone/unlogged')).status === 404)
    expect(lab.pid).toBe(pid)
    expect(lab.output).toBe('')
    lab.through = []
  },
)

test.skipIf(!isRoot)(
  'a full disk refuses what needs room, and keeps nothing from being deleted or stopped (root only: it mounts one)',
  { timeout: 120_000 },
  async () => {
    await using disk = await smallDisk(700)
    const directory = join(disk.directory, 'lab')
    await mkdir(directory)
    await using lab = await TestLab.make({ driver: 'copy', directory })
    await lab.start()
    const db = { username: 'alice', password: 'a password of the tests' }
    for (const id of ['kept', 'gone']) {
      const made = await lab.fetch('/clone?wait=60', { method: 'POST', json: { id, db } })
      expect(((await made.json()) as Clone).status.code).toBe('OK')
    }
    const taken = await lab.fetch('/snapshot', { method: 'POST', json: { id: 'spare' } })
    expect(taken.status).toBe(201)
    const clone = async (id: string) => (await (await lab.fetch(`/clone/${id}?wait=30`)).json()) as Clone

    await disk.fill()
    for (const [method, path, json] of [
      ['POST', '/clone', { db }],
      ['POST', '/snapshot', {}],
    ] as const) {
      const refused = await lab.fetch(path, { method, json })
      expect([refused.status, ((await refused.json()) as WireError).code]).toEqual([507, 'NOT_ENOUGH_DISK_SPACE'])
    }
    const reset = await lab.fetch('/clone/kept/reset', { method: 'POST' })
    expect([202, 507]).toContain(reset.status)
    expect((await clone('kept')).status.code).toBe('OK')
    expect((await lab.fetch('/snapshot/spare', { method: 'DELETE' })).status).toBe(204)
    const deleted = await lab.fetch('/clone/gone', { method: 'DELETE' })
    expect(deleted.status).toBe(202)
    await eventually('it is gone', async () => (await lab.fetch('/clone/gone')).status === 404)

    await disk.fill()
    expect(await lab.run(['stop'])).toMatchObject({ code: 0 })
    await disk.empty()
    await lab.start()
    expect((await clone('kept')).status.code).toBe('OK')
  },
)
