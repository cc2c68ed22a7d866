import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Clone, Snapshot } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { type Api, PASSWORD, text, unique, utcTime } from './api.ts'

const execute = promisify(execFile)

export function createContract(api: () => Api): void {
  describe('POST /clone', () => {
    test('answers at once with the whole clone, in CREATING, and where it is', async () => {
      const [snapshot] = (await api().get<Snapshot[]>('/snapshots')).body
      await using clone = await api().clone({ project: 'proj1', name: 'Ünïcode 🐘', username: 'bob', protected: true })
      const { status, headers, body } = clone.answer
      expect(status).toBe(201)
      expect(headers.get('Location')).toBe(clone.path)
      const { host, port } = body.db
      expect(body).toEqual({
        id: text,
        status: { code: 'CREATING', message: text },
        project: 'proj1',
        snapshot: snapshot?.id,
        db: {
          username: 'alice',
          password: '',
          host,
          port,
          dbName: 'shop',
          connStr: `postgresql://alice@${host}:${port}/shop`,
        },
        protected: true,
        deleteAt: '',
        name: 'Ünïcode 🐘',
        username: 'bob',
        createdAt: utcTime,
        cloneSize: 0,
        cloningTime: 0,
        profile: 'dev',
        steps: [],
        resetFailedAt: '',
        queuePosition: expect.any(Number),
      })
      expect(port).toMatch(/^\d+$/)
    })

    test('waits until the clone is ready when asked to, with a slash at its end too', async () => {
      const json = { db: { username: 'alice', password: PASSWORD } }
      const { status, body } = await api().call<Clone>('POST', '/clone/?wait=30', { json })
      await using _clone = { [Symbol.asyncDispose]: () => api().remove(body.id) }
      expect(status).toBe(201)
      expect(body.status).toEqual({ code: 'OK', message: 'Database is ready' })
      expect(body.cloningTime).toBeGreaterThan(0)
      await expect
        .poll(async () => (await api().get<Clone>(`/clone/${body.id}`)).body.cloneSize, { timeout: 20_000 })
        .toBeGreaterThan(1e6)
    })

    test.each(['postgres', 'Ünï@s \'"er:/?#&%'])('gives a login as %s that clients take as it is', async (username) => {
      await using clone = await api().clone({ db: { username } }, { wait: 60 })
      const { connStr } = clone.answer.body.db
      expect(clone.answer.body.db.username).toBe(username)
      expect(new URL(connStr)).toMatchObject({ protocol: 'postgresql:', password: '' })
      const sql = 'select current_user::text as who, current_database()::text as db'
      expect(await clone.sql(sql)).toEqual([{ who: username, db: 'shop' }])
      expect(await psql(connStr, 'select current_user')).toBe(username)
    })

    test('gives the database that is asked for', async () => {
      await using clone = await api().clone({ db: { dbName: 'postgres' } }, { wait: 60 })
      expect(clone.answer.body.db).toMatchObject({ dbName: 'postgres', connStr: expect.stringMatching(/\/postgres$/) })
      expect(await clone.sql('select current_database()::text as db')).toEqual([{ db: 'postgres' }])
    })

    test('takes no other password', async () => {
      await using clone = await api().clone({}, { wait: 60 })
      const wrong = clone.login.replace(encodeURIComponent(PASSWORD), 'wrong')
      await expect(execute('psql', ['--no-psqlrc', '-w', wrong, '-c', 'select 1'])).rejects.toThrow(
        /password authentication failed/,
      )
    })

    test('takes an id of the caller, unless it is in use', async () => {
      await using short = await api().clone({ id: 'a1' })
      await using long = await api().clone({ id: `0-${'a'.repeat(61)}` })
      expect([short.id, long.id]).toEqual(['a1', `0-${'a'.repeat(61)}`])
      const json = { id: 'a1', db: { username: 'alice', password: PASSWORD } }
      await api().refused('CLONE_ALREADY_EXISTS', 'POST', '/clone', { json })
    })

    test.each(['', 'a', '-ab', 'ab-', 'AB', 'a_b', 'a.b', 'a/b', '../..', 'a b', 'é1', 'ab\n', 'a'.repeat(64)])(
      'refuses the id %j',
      async (id) => {
        const json = { id, db: { username: 'alice', password: PASSWORD } }
        const { body } = await api().refused('INVALID_REQUEST', 'POST', '/clone', { json })
        expect(body.detail).toMatch(/^id: must be 2 to 63 lower case letters, digits and dashes/)
      },
    )

    test('makes one clone of two requests at once for the same id', async () => {
      const id = unique('race')
      const json = { id, db: { username: 'alice', password: PASSWORD } }
      const answers = await Promise.all(Array.from({ length: 2 }, () => api().call('POST', '/clone', { json })))
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
      await api().remove(id)
    })
  })

  test('GET /clones lists the clones, oldest first, and filters them', async () => {
    const project = unique('project')
    await using one = await api().clone({ project, username: 'ann' })
    await using two = await api().clone({ project, username: 'ben' })
    const ids = async (filter: string) => (await api().get<Clone[]>(`/clones?${filter}`)).body.map(({ id }) => id)
    expect(await ids('')).toEqual(expect.arrayContaining([one.id, two.id]))
    expect(await ids(`project=${project}`)).toEqual([one.id, two.id])
    expect(await ids(`project=${project}&username=ben`)).toEqual([two.id])
    expect(await ids(`project=${project}&status=FATAL`)).toEqual([])
    await api().until(one.id, 'OK')
    await api().until(two.id, 'OK')
    expect(await ids(`project=${project}&status=OK`)).toEqual([one.id, two.id])
  })
}

/** As a person runs it: the connection string, and the password beside it. */
async function psql(connStr: string, sql: string): Promise<string> {
  expect(new URL(connStr).password).toBe('')
  const options = { env: { ...process.env, PGPASSWORD: PASSWORD, PGCLIENTENCODING: 'UTF8' } }
  const { stdout } = await execute('psql', ['--no-psqlrc', '-At', connStr, '-c', sql], options)
  return stdout.trim()
}
