import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clone, Error as WireError } from '@dblab/models'
import { command, isRoot } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { LOGIN } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'

const CRITICAL_PERCENT = 20

test.skipIf(!isRoot)(
  'a burst of creations leaves free what is to be kept free (root only: it mounts a disk)',
  { timeout: 120_000 },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'dblab-burst-'))
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rm(directory, { recursive: true }))
    await command('mount', '-t', 'tmpfs', '-o', 'size=900m,mode=0711', 'none', directory)
    stack.defer(async () => void (await command('umount', '--lazy', directory)))
    await mkdir(join(directory, 'lab'))
    const storage = { lowFreePercent: CRITICAL_PERCENT, criticalFreePercent: CRITICAL_PERCENT }
    const config = { storage, clones: { concurrency: 8 } }
    const lab = stack.use(await TestLab.make({ driver: 'copy', directory: join(directory, 'lab'), config }))
    await lab.start()

    let least = 100
    const watch = setInterval(async () => {
      const { bavail, blocks } = await statfs(directory)
      least = Math.min(least, (bavail / blocks) * 100)
    }, 20)
    const answers = await Promise.all(
      Array.from({ length: 30 }, () => lab.fetch('/clone?wait=90', { method: 'POST', json: { db: LOGIN } })),
    )
    clearInterval(watch)
    let made = 0
    for (const answer of answers) {
      const body = (await answer.json()) as Clone & WireError
      if (answer.status === 507) expect(body.code).toBe('NOT_ENOUGH_DISK_SPACE')
      else if (body.status.code === 'OK') made++
      else
        expect(body.status).toMatchObject({ code: 'FATAL', message: expect.stringContaining('NOT_ENOUGH_DISK_SPACE') })
    }
    expect(made).toBeGreaterThan(1)
    expect(made).toBeLessThan(30)
    // A start writes a little beyond the copy.
    expect(least).toBeGreaterThan(CRITICAL_PERCENT - 3)

    const clones = (await (await lab.fetch('/clones')).json()) as Clone[]
    for (const { id } of clones) expect((await lab.fetch(`/clone/${id}`, { method: 'DELETE' })).status).toBe(202)
    await eventually('all are gone', async () => ((await (await lab.fetch('/clones')).json()) as Clone[]).length === 0)
    const again = await lab.fetch('/clone?wait=60', { method: 'POST', json: { db: LOGIN } })
    expect(((await again.json()) as Clone).status).toEqual({ code: 'OK', message: 'Database is ready' })
  },
)
