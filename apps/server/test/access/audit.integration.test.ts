import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { AuditEntry, Clone, Instance } from '@dblab/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PASSWORD, utcTime } from '../contract/api.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { People, type Person } from './people.ts'

describe('the audit log', () => {
  let lab: TestLab
  let people: People
  let anna: Person

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    people = await People.of(lab)
    anna = await people.make('anna', 'member')
  })

  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  async function entries(query = ''): Promise<AuditEntry[]> {
    return (await people.first.call<AuditEntry[]>('GET', `/audit?limit=1000${query}`)).body
  }

  test('says of each change who made it, what it was about, when, from where, and how it ended', async () => {
    const begun = new Date().toISOString()
    const { id: clone } = await anna.clone()
    const snapshot = 'of-the-audit'
    const requests = [
      ['CloneUpdate', 'PATCH', `/clone/${clone}`, { protected: true }, 200, ''],
      ['CloneDelete', 'DELETE', `/clone/${clone}`, undefined, 409, 'CLONE_PROTECTED'],
      ['CloneUpdate', 'PATCH', `/clone/${clone}`, { protected: false, no: PASSWORD }, 400, 'INVALID_REQUEST'],
      ['CloneUpdate', 'PATCH', `/clone/${clone}`, { protected: false }, 200, ''],
      ['SnapshotCreate', 'POST', '/snapshot', { cloneId: clone, id: snapshot, message: 'of a test' }, 201, ''],
      ['SnapshotDelete', 'DELETE', `/snapshot/${snapshot}`, undefined, 204, ''],
      ['CloneReset', 'POST', `/clone/${clone}/reset?wait=60`, {}, 202, ''],
      ['CloneDelete', 'DELETE', `/clone/${clone}`, undefined, 202, ''],
      ['CloneReset', 'POST', '/clone/there-is-none/reset', {}, 404, 'CLONE_NOT_FOUND'],
    ] as const
    const ids: (string | null)[] = []
    for (const [, method, path, json, status] of requests) {
      const answer = await anna.call(method, path, json)
      expect(answer.status, answer.text).toBe(status)
      ids.push(answer.headers.get('X-Request-Id'))
    }
    const [created, ...rest] = (await entries('&tokenName=anna')).reverse()
    expect(created).toMatchObject({ operation: 'CloneCreate', clone, status: 201, errorCode: '' })
    expect(rest).toHaveLength(requests.length)
    for (const [index, [operation, , path, , status, errorCode]] of requests.entries()) {
      // What names nothing that is there may be anything, and is not written down.
      const named = path.includes(clone) ? clone : ''
      const about = operation.startsWith('Snapshot') ? { snapshot } : { clone: named }
      expect(rest[index]).toMatchObject({
        ...{ operation, status, errorCode, ...about, requestId: ids[index] },
        ...{ tokenId: anna.id, tokenName: 'anna', address: '127.0.0.1', reason: '', at: utcTime },
      })
      expect(rest[index]?.at.localeCompare(begun)).toBe(1)
    }
    expect(rest[4]).toMatchObject({ clone, snapshot })
    // All of one clone: from its making, with its snapshot, to its end.
    expect((await entries(`&clone=${clone}`)).map(({ operation }) => operation)).toEqual(
      ['CloneCreate', ...requests.slice(0, 8).map(([operation]) => operation)]
        .filter((operation) => operation !== 'SnapshotDelete')
        .reverse(),
    )
  })

  test('has what was refused too, before anything of the body was read', async () => {
    const bert = await people.make('bert', 'member')
    const { id } = await anna.clone()
    await bert.refused('CLONE_NOT_FOUND', 'GET', `/clone/${id}`)
    await bert.refused('CLONE_NOT_FOUND', 'DELETE', `/clone/${id}`)
    await bert.refused('FORBIDDEN', 'GET', '/audit')
    const body = { body: `{"password": "${PASSWORD}`, headers: { 'Content-Type': 'application/json' } }
    await people.api.refused('UNAUTHORIZED', 'POST', '/clone', { ...body, token: 'canary-of-a-token' })
    await people.api.refused('UNAUTHORIZED', 'POST', '/clone', { ...body, token: null })
    await people.api.refused('INVALID_JSON', 'POST', '/clone', { ...body, token: bert.secret })
    const others = "another token's clone"
    expect(await entries('&tokenName=bert')).toMatchObject([
      { operation: 'CloneCreate', status: 400, errorCode: 'INVALID_JSON', reason: '' },
      { operation: 'AuditList', status: 403, errorCode: 'FORBIDDEN' },
      { operation: 'CloneDelete', clone: id, status: 404, errorCode: 'CLONE_NOT_FOUND', reason: others },
      { operation: 'CloneGet', clone: id, status: 404, errorCode: 'CLONE_NOT_FOUND', reason: others },
    ])
    expect((await entries('&operation=CloneCreate')).filter(({ tokenName }) => tokenName === '')).toMatchObject([
      { status: 401, errorCode: 'UNAUTHORIZED', reason: 'the request has no token' },
      { status: 401, errorCode: 'UNAUTHORIZED', reason: 'the token is not one of this lab' },
    ])
    await anna.call('DELETE', `/clone/${id}`)
  })

  test('has no line of what only reads', async () => {
    const before = await entries()
    for (const path of ['/status', '/clones', '/snapshots', '/audit']) await people.first.call('GET', path)
    expect(await entries()).toEqual(before)
  })

  test('is read in pages, newest first', async () => {
    const all = await entries()
    const pages: AuditEntry[] = []
    for (let before = ''; ; before = `&before=${pages.at(-1)?.id}`) {
      const { body } = await people.first.call<AuditEntry[]>('GET', `/audit?limit=3${before}`)
      if (body.length === 0) break
      pages.push(...body)
    }
    expect(pages).toEqual(all)
    expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).toSorted((a, b) => b - a))
    for (const query of ['limit=0', 'limit=1001', 'before=x', 'before=0', 'token=x'])
      await people.first.refused('INVALID_REQUEST', 'GET', `/audit?${query}`)
  })

  test('says what the lab deleted itself, and why', async () => {
    const { id } = await anna.clone()
    const deleteAt = new Date(Date.now() + 1000).toISOString()
    expect((await anna.call('PATCH', `/clone/${id}`, { deleteAt })).status).toBe(200)
    await people.api.untilGone(id)
    expect((await entries(`&clone=${id}`))[0]).toMatchObject({
      ...{ tokenName: 'lab', tokenId: '', operation: 'CloneDelete', address: '', status: 0, errorCode: '' },
      ...{ reason: 'its time is over', requestId: '' },
    })
  })

  test('stops nothing where it can not be written, and says so', async () => {
    const { id } = await anna.clone()
    const other = new DatabaseSync(join(lab.directory, '.dblab', 'audit.db'))
    other.exec('BEGIN EXCLUSIVE')
    expect((await anna.call('DELETE', `/clone/${id}`)).status).toBe(202)
    const { warnings } = (await people.first.call<Instance>('GET', '/status')).body
    expect(warnings.map(({ code }) => code)).toContain('AUDIT_LOG_FAILED')
    expect(lab.output).toMatch(new RegExp(`the audit log could not be written .*by=anna .*clone=${id}`))
    other.exec('ROLLBACK')
    other.close()
    expect(await entries(`&clone=${id}&operation=CloneDelete`)).toEqual([])
    await people.first.call('DELETE', '/token/nope')
    expect((await people.first.call<Instance>('GET', '/status')).body.warnings).toEqual([])
  })

  test('keeps what a killed server had begun', async () => {
    const json = { id: 'cut-off', db: { username: 'alice', password: PASSWORD } }
    const cutOff = anna.call<Clone>('POST', '/clone?wait=60', json).catch((error: unknown) => error)
    await eventually('it is begun', async () => (await lab.fetch('/clone/cut-off')).status === 200)
    await lab.kill()
    expect(await cutOff).toBeInstanceOf(Error)
    await lab.start()
    people = await People.of(lab)
    expect((await entries('&operation=CloneCreate'))[0]).toMatchObject({ tokenName: 'anna', status: 0, errorCode: '' })
  })

  test('holds neither passwords nor tokens', async () => {
    for (const name of ['audit.db', 'audit.db-wal']) {
      const bytes = await readFile(join(lab.directory, '.dblab', name))
      for (const secret of [PASSWORD, lab.token, anna.secret, 'canary-of-a-token'])
        expect(bytes.includes(secret), name).toBe(false)
    }
  })
})
