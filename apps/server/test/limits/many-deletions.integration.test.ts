import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clone, Instance, Error as WireError } from '@dblab/models'
import { expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { query } from '../support/sql.ts'
import { lacksFileSystem, smallBtrfs } from './pools.ts'

const lacking = lacksFileSystem('btrfs')
const driver = lacking ? 'copy' : 'btrfs'

function post(lab: TestLab, id: string): Promise<Response> {
  return lab.fetch('/clone?wait=90', { method: 'POST', json: { id, db: LOGIN } })
}

test('of many that are deleted at once nothing stays, and others are made meanwhile', async () => {
  await using lab = await TestLab.make({ driver })
  await lab.start()
  const olds = Array.from({ length: 24 }, (_, n) => `old-${n}`)
  await Promise.all(olds.map((id) => createClone(lab, { id })))
  await createClone(lab, { id: 'stays' })
  const deletions = olds.map((id) => lab.fetch(`/clone/${id}`, { method: 'DELETE' }))
  const made = await Promise.all(['new-0', 'new-1', 'new-2'].map((id) => post(lab, id)))
  expect((await Promise.all(deletions)).map(({ status }) => status)).toEqual(olds.map(() => 202))
  for (const answer of made) expect(((await answer.json()) as Clone).status.code).toBe('OK')

  const clones = ['new-0', 'new-1', 'new-2', 'stays']
  const left = async () => ((await (await lab.fetch('/clones')).json()) as Clone[]).map(({ id }) => id).sort()
  await eventually('the clones are gone', async () => (await left()).join() === clones.join(), 60_000)
  // The base has one, too.
  const volumes = async () => (await leftovers(lab.directory)).volumes.length
  await eventually('their volumes are gone', async () => (await volumes()) === clones.length + 1, 60_000)
  expect((await leftovers(lab.directory)).servers).toHaveLength(clones.length)
  const freeing = async () => ((await (await lab.fetch('/status')).json()) as Instance).disk.freeing
  await eventually('nothing is to come back any more', async () => (await freeing()) === 0, 30_000)
})

test('what is asked for on a full pool as soon as others are deleted is made of their room', async ({ skip }) => {
  if (lacking) skip(lacking)
  await using pool = await smallBtrfs({ criticalFreePercent: 40, lowFreePercent: 40 })
  await using lab = await TestLab.make(pool.options)
  await lab.start()
  const old = await createClone(lab, { id: 'old' })
  await query(
    urlOf(old),
    `CREATE TABLE large AS SELECT (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 32) j) AS filling
     FROM generate_series(1, 60000) i`,
  )
  const { blocks, bsize } = await statfs(join(lab.directory, '.dblab/pool'))
  await pool.leave(0.38 * blocks * bsize)
  const refused = await post(lab, 'refused')
  expect([refused.status, ((await refused.json()) as WireError).code]).toEqual([507, 'NOT_ENOUGH_DISK_SPACE'])

  expect((await lab.fetch('/clone/old', { method: 'DELETE' })).status).toBe(202)
  const next = await post(lab, 'next')
  expect([next.status, ((await next.json()) as Clone).status]).toEqual([201, expect.objectContaining({ code: 'OK' })])
})
