import { setTimeout as delay } from 'node:timers/promises'
import type { Clone, Error as WireError } from '@dblab/models'
import { freePortRange, isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'
import { expectNothingLeft, settled, statusOf } from '../support/whole.ts'

const driver = isRoot ? 'btrfs' : 'copy'

/** Defects that others of this kind have, in operations that meet. docs/reliability.md lists all of them. */
describe('operations on clones', { timeout: 120_000 }, () => {
  test('defect 3: a deletion while a clone is created leaves no Postgres, no volume and no port behind', async () => {
    await using ports = await freePortRange()
    await using lab = await TestLab.make({ driver, config: { clones: { portFrom: ports.from, portTo: ports.from } } })
    await lab.start()
    for (let round = 0; round < 5; round++) {
      const id = `short-lived-${round}`
      // There is one port: it can be lent again because the round before gave it back.
      expect((await create(lab, id)).status).toBe(201)
      // At another point of the creation each time.
      await delay(round * 40)
      expect((await lab.fetch(`/clone/${id}`, { method: 'DELETE' })).status).toBe(202)
      await eventually('it is gone', async () => (await lab.fetch(`/clone/${id}`)).status === 404)
    }
    await expectNothingLeft(lab, [])
  })

  test('defect 4: of creations of one id at once, one makes a clone and the others are refused', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(Array.from({ length: 5 }, () => create(lab, `twin-${round}`)))
      expect(answers.map((answer) => answer.status).sort()).toEqual([201, 409, 409, 409, 409])
    }
    const clones = await settled(lab)
    expect(clones.map(({ status }) => status.code)).toEqual(['OK', 'OK', 'OK'])
    for (const clone of clones) expect(await query(urlOf(clone), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await expectNothingLeft(lab, clones)
  })

  test('defect 5: a port is given back once, however often its clone is deleted', async () => {
    await using ports = await freePortRange()
    const clones = { portFrom: ports.from, portTo: ports.from + 1 }
    await using lab = await TestLab.make({ driver, config: { clones } })
    await lab.start()
    const first = await createClone(lab, { id: 'first' })
    await createClone(lab, { id: 'second' })
    const deletions = Array.from({ length: 5 }, () => lab.fetch('/clone/first', { method: 'DELETE' }))
    const heir = await heirOf(lab, first)
    expect((await Promise.all(deletions)).map(({ status }) => [202, 404].includes(status))).toEqual(Array(5).fill(true))
    await lab.fetch('/clone/first', { method: 'DELETE' })
    // Whatever a late deletion would do is done by then.
    await delay(1500)
    // Both ports are lent, to one clone each: a third clone finds none, and the lab says so before anybody asks.
    const refused = await create(lab, 'third')
    expect(((await refused.json()) as WireError).code).toBe('NO_FREE_PORT')
    expect((await statusOf(lab)).warnings.map(({ code }) => code)).toEqual(['NO_FREE_PORT'])
    expect(await query(urlOf(heir), 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('defect 9: the deletion of an unknown or a protected clone is refused with a reason, not with a 500', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    await createClone(lab, { id: 'protected', protected: true })
    for (const [id, status, code] of [
      ['unknown', 404, 'CLONE_NOT_FOUND'],
      ['protected', 409, 'CLONE_PROTECTED'],
    ] as const) {
      const answer = await lab.fetch(`/clone/${id}`, { method: 'DELETE' })
      expect([answer.status, await answer.json()]).toEqual([status, expect.objectContaining({ code })])
    }
    expect((await lab.fetch('/clone/protected')).status).toBe(200)
  })

  test('defect 14: clones that are still being made do not count in the time that a clone takes', async () => {
    // Two of the three wait while the third is made.
    await using lab = await TestLab.make({ driver, config: { clones: { concurrency: 1 } } })
    await lab.start()
    const { cloningTime } = await createClone(lab, { id: 'measured' })
    expect(cloningTime).toBeGreaterThan(0)
    const answers = await Promise.all(['x1', 'x2', 'x3'].map((id) => create(lab, id)))
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
    const during = await statusOf(lab)
    const creating = during.clones.filter(({ status }) => status.code === 'CREATING').length
    expect(creating).toBeGreaterThan(0)
    const done = during.clones.filter(({ cloningTime: seconds }) => seconds > 0).map((clone) => clone.cloningTime)
    expect(during.expectedCloningTime).toBeGreaterThanOrEqual(Math.min(...done))
  })
})

function create(lab: TestLab, id: string): Promise<Response> {
  return lab.fetch('/clone', { method: 'POST', json: { id, db: LOGIN } })
}

/** The clone that gets another's port, as soon as it can be had. */
async function heirOf(lab: TestLab, { db }: Clone): Promise<Clone> {
  await eventually('the port is free again', async () => (await create(lab, 'heir')).status === 201)
  const clone = (await settled(lab)).find(({ id }) => id === 'heir')
  expect(clone?.db.port).toBe(db.port)
  if (!clone) throw new Error('the heir is gone')
  return clone
}
