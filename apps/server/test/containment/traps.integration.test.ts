import { access, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Snapshot } from '@dblab/models'
import { withLabConnection } from '@dblab/provision'
import { hasProgram } from '@dblab/provision/testbed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/lab.ts'
import { binDirOf, MAJORS } from '../support/majors.ts'
import { pagilaMissing } from '../support/pagila.ts'
import { TRAPS } from './traps.ts'
import { asLab, at, type Containment, MALLORY, openContainment, type Place, session, whereIs } from './world.ts'

describe.each(MAJORS)('traps that a user leaves in a clone on PostgreSQL $version', (major) => {
  const missing =
    pagilaMissing ??
    (binDirOf(major) ? undefined : `there is no PostgreSQL ${major.version}`) ??
    (hasProgram('psql') ? undefined : 'there is no psql, which imports plain dumps')

  describe.skipIf(missing !== undefined)(`catch nobody${missing ? ` (skipped: ${missing})` : ''}`, () => {
    let world: Containment
    beforeAll(async () => {
      world = await openContainment(major)
      await session(world.mallory.url, async (query) => {
        for (const trap of TRAPS) await query(trap.replaceAll('{OPEN}', world.open))
      })
      expect(await caught(), 'not while they are laid').toBe(false)
    })
    afterAll(() => world?.[Symbol.asyncDispose]())

    const caught = () =>
      access(join(world.open, 'caught')).then(
        () => true,
        () => false,
      )
    const superusers = (place: Place) =>
      asLab(
        place,
        `SELECT rolname FROM pg_authid WHERE rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls`,
        'dblab',
      )

    test('though they work: a superuser who does what the lab never does is caught', async () => {
      await asLab(
        world.mallory,
        'SET default_transaction_read_only = off; UPDATE public.actor SET first_name = first_name',
        'pagila',
      )
      expect(await caught()).toBe(true)
      await rm(join(world.open, 'caught'))
    })

    test('when statistics are collected and indexes made anew, by the lab or autovacuum', async () => {
      // As autovacuum and its like: none of them looks into public.
      for (const sql of ['VACUUM ANALYZE', 'REINDEX DATABASE pagila'])
        await withLabConnection(world.mallory.lab, 'pagila', (client) => client.query(sql))
      expect(await caught()).toBe(false)
    })

    test('when a snapshot of the clone is taken and made one to clone from', async () => {
      const request = { method: 'POST', json: { cloneId: 'mallorys', id: 'poisoned' } }
      const taken = (await (await world.lab.fetch('/snapshot', request)).json()) as Snapshot
      expect(taken).toMatchObject({ id: 'poisoned', database: 'pagila' })
      const next = await world.make({ id: 'victims', snapshot: 'poisoned' }, { ...MALLORY, username: 'victim' })
      expect(await superusers(next)).toEqual([{ rolname: 'dblab' }])
      const url = `${next.url}?options=${encodeURIComponent('-c default_transaction_read_only=off')}`
      await session(url, async (query) => {
        expect(await query('SELECT part()')).toEqual([{ part: 'dblab_owner' }])
        await expect(query('SELECT as_root($$id$$)')).rejects.toMatchObject({ code: '42501' })
      })
      expect(await caught()).toBe(false)
    })

    test('when the clone is stopped, started, looked at and reset', async () => {
      const { lab, mallory } = world
      await lab.run(['stop'])
      await lab.start()
      await eventually('it is back', async () => {
        const { status } = (await (await lab.fetch('/clone/mallorys')).json()) as { status: { code: string } }
        return status.code === 'OK'
      })
      expect(await caught()).toBe(false)
      const reset = await lab.fetch('/clone/mallorys/reset?wait=60', { method: 'POST', json: { snapshot: 'poisoned' } })
      expect(await reset.json()).toMatchObject({ status: { code: 'OK' } })
      expect(await superusers({ ...mallory, ...(await whereIs(lab, mallory.clone)) })).toEqual([{ rolname: 'dblab' }])
      expect(await caught()).toBe(false)
      const there = session(at(mallory.url, { database: 'postgres' }), (query) => query('SELECT 1 AS one'))
      expect(await there).toEqual([{ one: 1 }])
    })
  })
})
