import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clone, Instance, Snapshot } from '@dblab/models'
import { expect } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, type TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { postmasterOf } from '../support/postmaster.ts'
import { openSession, query } from '../support/sql.ts'

/** The labels follow the catalogue within a second; a busy machine may take another. */
const LABELS_MS = 3000

async function status(lab: TestLab): Promise<Instance> {
  return (await (await lab.fetch('/status')).json()) as Instance
}

/** What must be the same after a rebuild. Sizes are measured in the background. */
function facts({ clones, snapshots }: Pick<Instance, 'clones' | 'snapshots'>) {
  const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1)
  return {
    clones: clones.map(({ cloneSize: _, steps: _steps, ...clone }: Clone) => clone).sort(byId),
    snapshots: snapshots.map(({ size: _, ...snapshot }: Snapshot) => snapshot).sort(byId),
  }
}

/** Long enough for a kernel of one slow processor. */
const SETTLED_MS = 120_000

async function makeMany(lab: TestLab): Promise<{ names: string[]; snapshot: string }> {
  const deleteAt = new Date(Date.now() + 3_600_000).toISOString()
  await createClone(lab, { id: 'ann', name: 'first', project: 'shop', username: 'Ann Ü. 100 %', protected: true })
  await createClone(lab, { id: 'ben', deleteAt })
  await createClone(lab, { id: 'gone' })
  const taken = await lab.fetch('/snapshot', {
    method: 'POST',
    json: { cloneId: 'gone', id: 'of-gone', message: 'a "b"' },
  })
  expect(taken.status).toBe(201)
  await createClone(lab, { id: 'cy', snapshot: 'of-gone' })
  await createClone(lab, { id: 'dee' })
  for (const [id, json] of [
    ['ann', { name: 'another\u0085name' }],
    ['ben', { project: 'x', deleteAt: null, protected: true }],
  ] as const) {
    expect((await lab.fetch(`/clone/${id}`, { method: 'PATCH', json })).status).toBe(200)
  }
  await lab.fetch('/clone/dee/reset?wait=60', { method: 'POST', json: { snapshot: 'of-gone' } })
  await lab.fetch('/clone/gone', { method: 'DELETE' })
  await eventually('it is gone', async () => (await lab.fetch('/clone/gone')).status === 404, SETTLED_MS)
  return { names: ['ann', 'ben', 'cy', 'dee'], snapshot: 'of-gone' }
}

/**
 * A catalogue is lost, with clones and snapshots of every kind; a rebuild brings each of them back as it was, while the sessions of those
 * that run go on.
 */
export async function loseAndRebuild(lab: TestLab): Promise<void> {
  await lab.start()
  const { names, snapshot } = await makeMany(lab)
  const before = await status(lab)
  const url = (id: string) => urlOf(before.clones.find((clone) => clone.id === id) ?? expect.fail(`no clone ${id}`))
  for (const id of names) await query(url(id), `CREATE TABLE mine AS SELECT '${id}'::text AS id`)
  const session = await openSession(url('ann'))
  await session.query('BEGIN')
  await session.query(`INSERT INTO mine VALUES ('not committed yet')`)
  await delay(LABELS_MS)
  expect(await lab.run(['rebuild', '--yes'])).toMatchObject({ code: 1, stderr: expect.stringContaining(lab.url) })
  await lab.kill()
  // One of the others is down when it happens.
  process.kill((await postmasterOf(url('cy'))).pid, 'SIGKILL')

  const file = join(lab.directory, '.dblab/catalogue.db')
  const torn = (await readFile(file)).fill(0)
  await writeFile(file, torn)
  const rebuilt = await lab.run(['rebuild', '--yes'])
  expect(rebuilt, rebuilt.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('4 clones, 2 snapshots') })
  expect(rebuilt.stdout).not.toContain('Note')
  const [aside] = (await readdir(join(lab.directory, '.dblab'))).filter((name) =>
    /^catalogue\.db\.lost-[\dT-]+$/.test(name),
  )
  expect(await readFile(join(lab.directory, '.dblab', aside ?? ''))).toEqual(torn)

  await lab.start()
  await eventually(
    'all run',
    async () => (await status(lab)).clones.every((clone) => clone.status.code === 'OK'),
    SETTLED_MS,
  )
  const after = await status(lab)
  expect(after.warnings).toEqual([])
  expect(facts(after)).toEqual(facts(before))
  for (const id of names) expect(await query(url(id), 'SELECT id FROM mine LIMIT 1')).toEqual([{ id }])
  await session.query('COMMIT')
  expect(await query(url('ann'), 'SELECT count(*)::int AS n FROM mine')).toEqual([{ n: 2 }])
  await session.end()
  await goesOn(lab, snapshot)
}

/** The new catalogue is as good as the old one: with it clones are made, reset and deleted, and what was kept for others goes at last. */
async function goesOn(lab: TestLab, snapshot: string): Promise<void> {
  const made = await createClone(lab, { id: 'eve' })
  expect(made.status.code).toBe('OK')
  const reset = (await (await lab.fetch('/clone/dee/reset?wait=60', { method: 'POST' })).json()) as Clone
  expect(reset.status).toEqual({ code: 'OK', message: 'Database is ready' })
  await expect(query(urlOf(reset), 'SELECT FROM mine')).rejects.toMatchObject({ code: '42P01' })
  for (const id of ['ann', 'ben', 'cy', 'dee', 'eve']) {
    await lab.fetch(`/clone/${id}`, { method: 'PATCH', json: { protected: false } })
    expect((await lab.fetch(`/clone/${id}`, { method: 'DELETE' })).status).toBe(202)
  }
  await eventually('all are gone', async () => (await status(lab)).numClones === 0, SETTLED_MS)
  expect((await lab.fetch(`/snapshot/${snapshot}`, { method: 'DELETE' })).status).toBe(204)
  expect((await status(lab)).snapshots).toHaveLength(1)
}

/** The server is killed with operations of every kind under way, and its catalogue lost; twice, at different moments. */
export async function loseInTheMiddle(lab: TestLab): Promise<void> {
  for (const pauseMs of [80, 400]) {
    const standing = ['kept', 'reset-a', 'reset-b', 'deleted'].map((name) => `${name}-${pauseMs}`)
    const clones = await Promise.all(standing.map((id) => createClone(lab, { id })))
    for (const clone of clones) await query(urlOf(clone), 'CREATE TABLE mine AS SELECT 42 AS answer')
    await delay(LABELS_MS)
    void Promise.allSettled([
      ...['a', 'b', 'c'].map((id) => createClone(lab, { id: `created-${id}-${pauseMs}` })),
      ...standing.slice(1, 3).map((id) => lab.fetch(`/clone/${id}/reset`, { method: 'POST' })),
      lab.fetch(`/clone/deleted-${pauseMs}`, { method: 'DELETE' }),
    ])
    await delay(pauseMs)
    await lab.kill()
    for (const part of ['', '-wal', '-seal'])
      await rm(join(lab.directory, `.dblab/catalogue.db${part}`), { force: true })
    const rebuilt = await lab.run(['rebuild', '--yes'])
    expect(rebuilt, rebuilt.stderr).toMatchObject({ code: 0 })
    await lab.start()
    const settled = async () => (await status(lab)).clones.every((clone) => clone.status.code === 'OK')
    await eventually('all run', settled, 60_000)
    const after = await status(lab)
    expect(after.warnings, rebuilt.stdout).toEqual([])
    const kept = after.clones.find(({ id }) => id === `kept-${pauseMs}`) ?? expect.fail(rebuilt.stdout)
    expect(kept).toMatchObject({ protected: false, status: { message: 'Database is ready' } })
    expect(await query(urlOf(kept), 'SELECT answer FROM mine')).toEqual([{ answer: 42 }])
    // Whoever was being reset is there, with the data from before or after; and no data from before is lost that a reset had not reached.
    for (const id of standing.slice(1, 3)) expect(after.clones.map((clone) => clone.id)).toContain(id)
    for (const clone of after.clones) {
      expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
      if (clone.status.message !== 'Database is ready') expect(clone).toMatchObject({ protected: true })
    }
  }
  const { clones } = await status(lab)
  for (const { id } of clones) {
    await lab.fetch(`/clone/${id}`, { method: 'PATCH', json: { protected: false } })
    await lab.fetch(`/clone/${id}`, { method: 'DELETE' })
  }
  await eventually('all are gone', async () => (await status(lab)).numClones === 0, 60_000)
  await expect.poll(async () => (await leftovers(lab.directory)).volumes.length, { timeout: 30_000 }).toBe(1)
}
