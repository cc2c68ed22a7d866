import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { query } from '../support/sql.ts'
import { statusOf } from '../support/whole.ts'

/** Two rounds of the one that looks after clones, and some. */
const rounds = 60_000

describe('what a lab does while nobody asks', { timeout: 180_000 }, () => {
  let lab: TestLab

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
  })
  afterAll(async () => lab[Symbol.asyncDispose]())

  const create = (fields: Record<string, unknown>) => createClone(lab, fields)

  async function exists(id: string): Promise<boolean> {
    return (await lab.fetch(`/clone/${id}`)).status === 200
  }

  test('a clone whose time is over goes, and a protected one stays', async () => {
    const deleteAt = new Date(Date.now() + 1000).toISOString()
    await Promise.all([create({ id: 'over', deleteAt }), create({ id: 'over-protected', deleteAt, protected: true })])
    await eventually('it is gone', async () => !(await exists('over')), rounds)
    expect(await exists('over-protected')).toBe(true)
    await lab.fetch('/clone/over-protected', { method: 'PATCH', json: { protected: false } })
    await eventually('it goes when it is protected no more', async () => !(await exists('over-protected')), rounds)
  })

  test('a clone whose Postgres was killed runs again, with its data', async () => {
    const clone = await create({ id: 'killed', protected: true })
    await query(urlOf(clone), 'CREATE TABLE mine AS SELECT 42 AS answer')
    const { servers } = await leftovers(lab.directory)
    for (const line of servers) process.kill(Number(line.split(' ')[0]), 'SIGKILL')
    await eventually(
      'it answers again',
      () =>
        query(urlOf(clone), 'SELECT answer FROM mine').then(
          (rows) => rows[0]?.answer === 42,
          () => false,
        ),
      rounds,
    )
    await lab.fetch(`/clone/${clone.id}`, { method: 'PATCH', json: { protected: false } })
  })
})

describe('a lab that is short of something', { timeout: 120_000 }, () => {
  test('warns when space is low, and still makes clones', async () => {
    await using lab = await TestLab.make({
      driver: 'copy',
      config: { storage: { lowFreePercent: 100, criticalFreePercent: 0 } },
    })
    await lab.start()
    const { status, warnings } = await statusOf(lab)
    expect(status.code).toBe('WARNING')
    expect(warnings).toMatchObject([{ code: 'DISK_SPACE_LOW', hint: expect.stringContaining('Stop idle clones') }])
    expect((await createClone(lab)).status.code).toBe('OK')
  })

  test('refuses clones when space is critical', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    await lab.terminate()
    // Only now: no data comes into a pool that is this full either.
    const file = join(lab.directory, 'dblab.yaml')
    const config = await readFile(file, 'utf8')
    await writeFile(file, config.replace('storage:\n', 'storage:\n  lowFreePercent: 100\n  criticalFreePercent: 100\n'))
    await lab.start()
    expect((await statusOf(lab)).warnings).toMatchObject([{ code: 'DISK_SPACE_CRITICAL' }])
    const refused = await lab.fetch('/clone', { method: 'POST', json: { db: LOGIN } })
    expect([refused.status, await refused.json()]).toEqual([
      507,
      expect.objectContaining({ code: 'NOT_ENOUGH_DISK_SPACE' }),
    ])
    expect((await statusOf(lab)).clones).toEqual([])
  })

  test('warns when it listens beyond loopback without TLS', async () => {
    await using lab = await TestLab.make({ driver: 'copy', config: { host: '0.0.0.0' } })
    await lab.start()
    expect((await statusOf(lab)).warnings.map(({ code }) => code)).toEqual(['INSECURE_CONNECTION'])
  })
})
