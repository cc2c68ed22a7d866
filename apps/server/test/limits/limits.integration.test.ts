import type { Clone, Error as WireError } from '@dblab/models'
import { expect, test } from 'vitest'
import { People } from '../access/people.ts'
import { LOGIN } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'

const LIMITED = { max: 12, maxPerProject: 5, maxPerUsername: 3 }

async function outcomes(answers: Response[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const answer of answers) {
    const what = answer.status === 201 ? 'created' : `${answer.status} ${((await answer.json()) as WireError).code}`
    counts[what] = (counts[what] ?? 0) + 1
  }
  return counts
}

test('of fifty clones asked for at once, as many are made as the limits allow, and no more', async () => {
  await using lab = await TestLab.make({ driver: 'copy', config: { clones: LIMITED } })
  await lab.start()
  const create = (fields: object) => lab.fetch('/clone', { method: 'POST', json: { db: LOGIN, ...fields } })
  const fifty = async (fields: (index: number) => object) =>
    outcomes(await Promise.all(Array.from({ length: 50 }, (_, index) => create(fields(index)))))
  const refused = '409 CLONE_LIMIT_REACHED'

  const username = (index: number) => `user ${index}`
  expect(await fifty(() => ({ project: 'shop', username: 'ann' }))).toEqual({ created: 3, [refused]: 47 })
  expect(await fifty((index) => ({ project: 'shop', username: username(index) }))).toEqual({
    created: 2,
    [refused]: 48,
  })
  // Those without a project count as one.
  expect(await fifty((index) => ({ username: username(index) }))).toEqual({ created: 5, [refused]: 45 })
  const whole = (index: number) => ({ project: `project ${index}`, username: username(index + 100) })
  expect(await fifty(whole)).toEqual({ created: 2, [refused]: 48 })

  const last = (await (await create({})).json()) as WireError
  expect(last).toMatchObject({
    code: 'CLONE_LIMIT_REACHED',
    detail: 'the lab has as many clones as it may: clones.max is 12',
    hint: expect.stringContaining('raise the limit'),
  })
  const clones = (await (await lab.fetch('/clones')).json()) as Clone[]
  const other = clones.find(({ project }) => project === 'project 0' || project.startsWith('project'))
  const moved = await lab.fetch(`/clone/${other?.id}`, { method: 'PATCH', json: { project: 'shop' } })
  expect(moved.status).toBe(409)
  expect((await lab.fetch(`/clone/${other?.id}`, { method: 'DELETE' })).status).toBe(202)
  // One that is being deleted does not count any more.
  expect((await create({ project: 'next', username: 'next' })).status).toBe(201)
})

test('each token gets as many clones as the limit allows, whoever its requests say that they are for', async () => {
  await using lab = await TestLab.make({ driver: 'copy', config: { clones: { maxPerToken: 3 } } })
  await lab.start()
  const people = await People.of(lab)
  // The lab's first token counts as one.
  const owners = [await people.make('anna', 'member'), await people.make('bert', 'member'), people.first]
  const create = (token: string, index: number) => {
    const claimed = { project: `project ${index}`, username: `user ${index}` }
    return lab.fetch('/clone', { method: 'POST', token, json: { db: LOGIN, ...claimed } })
  }
  const twentyFive = (token: string) => Promise.all(Array.from({ length: 25 }, (_, index) => create(token, index)))
  const asked = await Promise.all(owners.map(({ secret }) => twentyFive(secret)))
  for (const answers of asked) expect(await outcomes(answers)).toEqual({ created: 3, '409 CLONE_LIMIT_REACHED': 22 })

  for (const { secret } of owners) {
    const refused = (await (await create(secret, 25)).json()) as WireError
    expect(refused.detail).toBe('the token has as many clones as it may: clones.maxPerToken is 3')
  }
})

test('who waits is told for how many, and who may not wait, for how long to stay away', async () => {
  await using lab = await TestLab.make({ driver: 'copy', config: { clones: { concurrency: 1, queue: 6 } } })
  await lab.start()
  const ids = Array.from({ length: 7 }, (_, index) => `clone-${index}`)
  const made = await Promise.all(
    ids.map((id) => lab.fetch('/clone', { method: 'POST', json: { id, db: LOGIN } }).then((answer) => answer.status)),
  )
  expect(made).toEqual(Array(7).fill(201))
  const refused = await lab.fetch('/clone', { method: 'POST', json: { db: LOGIN } })
  expect(refused.status).toBe(503)
  expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThanOrEqual(7)
  const clones = async () => (await (await lab.fetch('/clones')).json()) as Clone[]
  const waiting = (await clones()).filter((clone) => (clone.queuePosition ?? 0) > 0)
  const positions = waiting.map((clone) => clone.queuePosition ?? 0).sort()
  expect(positions).toEqual(Array.from({ length: positions.length }, (_, index) => index + 1))
  expect(positions.length).toBeGreaterThan(3)
  for (const { status, queuePosition } of waiting) {
    expect(status).toEqual({
      code: 'CREATING',
      message: `Waiting for ${queuePosition} other${queuePosition === 1 ? '' : 's'}`,
    })
  }
  const fifth = waiting.find((clone) => clone.queuePosition === positions.length)
  const seen = new Set<number>()
  await eventually(
    'all are ready',
    async () => {
      const now = await clones()
      seen.add(now.find(({ id }) => id === fifth?.id)?.queuePosition ?? 0)
      return now.every(({ status }) => status.code === 'OK')
    },
    90_000,
  )
  // It came nearer, step by step.
  expect(seen.size).toBeGreaterThan(2)
  expect(seen.has(0)).toBe(true)
})
