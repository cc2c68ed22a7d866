import { setTimeout as delay } from 'node:timers/promises'
import type { Clone, Instance } from '@dblab/models'
import { isRoot } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'
import { anotherBuild } from '../support/builds.ts'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { PsqlSession } from '../support/psql.ts'
import { query } from '../support/sql.ts'

const SESSIONS = 50
const CLONES = 5

interface Person {
  clone: Clone
  number: number
  psql: PsqlSession
  /** Its transaction and the process that runs it: a psql that had connected again would have others. */
  identity: string
}

const IDENTITY = `SELECT pg_backend_pid() || ' ' || pg_current_xact_id()`

test('fifty psql sessions with a running transaction notice no stop, no kill -9 and no upgrade of the server', async () => {
  await using stack = new AsyncDisposableStack()
  const next = stack.use(await anotherBuild('99.0.0-next'))
  const lab = stack.use(await TestLab.make({ driver: isRoot ? 'btrfs' : 'copy' }))
  await lab.start()
  const clones = await Promise.all(Array.from({ length: CLONES }, (_, n) => createClone(lab, { id: `held-${n}` })))
  for (const clone of clones) await query(urlOf(clone), 'CREATE TABLE held (session int, moment text)')
  const people = await Promise.all(Array.from({ length: SESSIONS }, (_, n) => begin(clones[n % CLONES], n)))
  for (const { psql } of people) stack.use(psql)

  await insert(people, 'before')
  for (const [name, end] of [
    ['SIGTERM', () => lab.terminate()],
    ['kill -9', () => lab.kill()],
    ['upgrade', () => lab.terminate()],
  ] as const) {
    const versionBefore = (await statusOf(lab)).version
    // It is in the middle of work when it ends.
    const half = await lab.fetch('/clone', {
      method: 'POST',
      json: { id: `half-${name.replace(/\W+/g, '-').toLowerCase()}`, db: LOGIN },
    })
    expect(half.status).toBe(201)
    await end()
    await insert(people, `while down after ${name}`)
    if (name === 'upgrade') lab.main = next.main
    await lab.start()
    await insert(people, `after ${name}`)
    const { version, clones: seen } = await statusOf(lab)
    expect(version === versionBefore).toBe(name !== 'upgrade')
    expect(seen.filter(({ id }) => id.startsWith('held-')).map(({ status }) => status.code)).toEqual(
      Array(CLONES).fill('OK'),
    )
  }
  expect((await statusOf(lab)).version).toBe('99.0.0-next')
  // Nobody else has seen a row of theirs yet.
  for (const clone of clones) expect(await query(urlOf(clone), 'SELECT * FROM held')).toEqual([])

  const ends = await Promise.all(
    people.map(async ({ psql, identity }) => {
      expect(await psql.ask(IDENTITY.concat(';'))).toBe(identity)
      expect(await psql.ask(`COMMIT; SELECT 'committed';`)).toBe('committed')
      return psql.quit()
    }),
  )
  expect(ends).toEqual(Array(SESSIONS).fill({ code: 0, errors: '' }))
  for (const clone of clones) {
    const rows = await query(
      urlOf(clone),
      'SELECT session, count(*)::int AS moments FROM held GROUP BY session ORDER BY session',
    )
    const expected = people.filter((person) => person.clone.id === clone.id)
    expect(rows).toEqual(expected.map(({ number }) => ({ session: number, moments: 7 })))
  }
}, 240_000)

async function begin(clone: Clone | undefined, number: number): Promise<Person> {
  if (clone?.status.code !== 'OK') throw new Error(`no clone: ${clone?.status.message}`)
  const psql = await PsqlSession.open(clone.db.connStr, LOGIN.password)
  const identity = await psql.ask(`BEGIN; ${IDENTITY};`)
  return { clone, number, psql, identity }
}

/** A row of each, in its transaction that goes on. */
async function insert(people: Person[], moment: string): Promise<void> {
  const answers = await Promise.all(
    people.map(({ psql, number }) =>
      Promise.race([
        psql.ask(`INSERT INTO held VALUES (${number}, '${moment}') RETURNING moment;`),
        delay(20_000, `session ${number} is silent`, { ref: false }),
      ]),
    ),
  )
  expect(answers).toEqual(people.map(() => moment))
}

async function statusOf(lab: TestLab): Promise<Instance> {
  return (await (await lab.fetch('/status')).json()) as Instance
}
