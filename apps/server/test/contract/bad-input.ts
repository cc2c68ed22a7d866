import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import type { Error as WireError } from '@dblab/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Answer, type Api, expectError } from './api.ts'

/** In everything that is sent here, to be found in no answer and not in the log. */
const CANARY = 'canary-7f3a'
const valid = { username: 'alice', password: CANARY }

/** Requests that no client should send. Each is refused in the form of an error, and says nothing of what was in it. */
export function badInput(api: () => Api, bodyLimit: number): void {
  describe('a bad request', () => {
    let before: number

    beforeAll(async () => {
      before = await residentBytes(api().lab.pid)
    })

    afterAll(async () => {
      expect(api().lab.output).not.toContain(CANARY)
      expect((await api().get('/clones')).body).toEqual([])
      expect((await residentBytes(api().lab.pid)) - before).toBeLessThan(150e6)
    })

    async function post(
      body: string | Buffer,
      headers: Record<string, string> = {},
      path = '/clone',
    ): Promise<Answer<WireError>> {
      const sent = { method: 'POST', body, headers: { 'Content-Type': 'application/json', ...headers } }
      const answer = await api().call<WireError>('POST', path, sent)
      expectError(answer)
      expect(answer.text).not.toContain(CANARY)
      return answer
    }

    test.each([
      ['no body', '', 'INVALID_REQUEST'],
      ['JSON cut short', `{"name": "${CANARY}`, 'INVALID_JSON'],
      ['no JSON', CANARY, 'INVALID_JSON'],
      ['a text', `"${CANARY}"`, 'INVALID_JSON'],
      ['a number', '7', 'INVALID_JSON'],
      ['null', 'null', 'INVALID_JSON'],
      ['an array', `["${CANARY}"]`, 'INVALID_REQUEST'],
      ['deep arrays', `{"name": ${'['.repeat(4000)}${']'.repeat(4000)}}`, 'INVALID_JSON|INVALID_REQUEST'],
      [
        'a key twice, of which the last counts',
        `{"db": ${JSON.stringify(valid)}, "db": "${CANARY}"}`,
        'INVALID_REQUEST',
      ],
      ['bytes that are no UTF-8', Buffer.from(`{"name": "${CANARY}\xff"}`, 'latin1'), 'INVALID_JSON'],
      ['half a surrogate pair', `{"name": "${CANARY}\\ud800"}`, 'INVALID_JSON'],
      ['an object that can’t be made a text', `{"name": {"toString": "${CANARY}"}}`, 'INVALID_JSON'],
      ['prototypes', `{"__proto__": {"db": 1}, "constructor": "${CANARY}"}`, 'INVALID_REQUEST'],
      ['more than the limit', JSON.stringify({ name: CANARY.repeat(bodyLimit) }), 'BODY_TOO_LARGE'],
    ])('with %s is refused', async (_what, body, code) => {
      expect((await post(body)).body.code).toMatch(new RegExp(`^(?:${code})$`))
    })

    test.each([
      ['another type', '{}', { 'Content-Type': 'text/plain' }, 'UNSUPPORTED_MEDIA_TYPE'],
      ['a form', 'a=b', { 'Content-Type': 'application/x-www-form-urlencoded' }, 'UNSUPPORTED_MEDIA_TYPE'],
      ['another charset', '{}', { 'Content-Type': 'application/json; charset=latin1' }, 'UNSUPPORTED_MEDIA_TYPE'],
      ['an unknown charset', '{}', { 'Content-Type': `application/json; charset=${CANARY}` }, 'UNSUPPORTED_MEDIA_TYPE'],
      ['an unknown encoding', '{}', { 'Content-Encoding': CANARY }, 'UNSUPPORTED_MEDIA_TYPE'],
      ['what is no gzip', CANARY, { 'Content-Encoding': 'gzip' }, 'INVALID_REQUEST'],
      [
        'gzip that is large inside',
        gzipSync(Buffer.alloc(20_000_000, ' ')),
        { 'Content-Encoding': 'gzip' },
        'BODY_TOO_LARGE',
      ],
      [
        'a key that is too long',
        JSON.stringify({ db: valid }),
        { 'Idempotency-Key': CANARY.repeat(30) },
        'INVALID_REQUEST',
      ],
      ['an empty key', JSON.stringify({ db: valid }), { 'Idempotency-Key': '' }, 'INVALID_REQUEST'],
    ])('with %s is refused', async (_what, body, headers: Record<string, string>, code) => {
      expect((await post(body, headers)).body.code).toBe(code)
    })

    test('in gzip, or with a byte order mark, is read as any other', async () => {
      const body = JSON.stringify({ snapshot: CANARY, db: valid })
      expect((await post(gzipSync(body), { 'Content-Encoding': 'gzip' })).body.code).toBe('SNAPSHOT_NOT_FOUND')
      expect((await post(`\ufeff${body}`)).body.code).toBe('SNAPSHOT_NOT_FOUND')
    })

    test.each(fields)('is told of %j: %s', async (body, detail) => {
      const answer = await post(JSON.stringify(body))
      expect(answer.body).toMatchObject({ code: 'INVALID_REQUEST', detail })
    })

    test('is told of the first of a thousand fields alone', async () => {
      const many = Object.fromEntries(Array.from({ length: 800 }, (_, n) => [`f${n}`, 1]))
      const { body } = await post(JSON.stringify({ ...many, db: valid }))
      expect(body.detail).toMatch(/^f0: there is no such field; .* and 780 more$/)
    })

    test.each([
      [`wait=${CANARY}`, 'wait: must be a whole number'],
      ['wait=', 'wait: must be a whole number'],
      ['wait=1.5', 'wait: must be a whole number'],
      ['wait=1&wait=2', 'wait: must be a whole number'],
      ['wait=-1', 'wait: must be at least 0'],
      ['wait=601', 'wait: must be at most 600'],
    ])('for ?%s is refused', async (query, detail) => {
      const answer = await post(JSON.stringify({ db: valid }), {}, `/clone?${query}`)
      expect(answer.body).toMatchObject({ code: 'INVALID_REQUEST', detail })
    })

    test.each([
      ['GET', `/clones?status=${CANARY}`, 'INVALID_REQUEST'],
      ['GET', '/clones?project=a&project=b', 'INVALID_REQUEST'],
      ['GET', `/events?types=clone,${CANARY}`, 'INVALID_REQUEST'],
      ['GET', '/events?types=clone&types=snapshot', 'INVALID_REQUEST'],
      ['GET', `/events?clone=${CANARY.repeat(10)}`, 'INVALID_REQUEST'],
      ['GET', `/events?since=${CANARY}`, 'INVALID_REQUEST'],
      ['GET', `/clone/${CANARY}%`, 'INVALID_REQUEST'],
      ['GET', `/clone/${CANARY}%E0%A4%A`, 'INVALID_REQUEST'],
      ['GET', `/clone/${CANARY}%00`, 'CLONE_NOT_FOUND'],
      ['GET', `/clone/..%2f..%2f${CANARY}`, 'CLONE_NOT_FOUND'],
      ['DELETE', `/snapshot/..%2f..%2f${CANARY}`, 'SNAPSHOT_NOT_FOUND'],
      ['GET', `/clone/${CANARY.repeat(500)}`, 'CLONE_NOT_FOUND'],
      ['GET', `/clone/a/${CANARY}`, 'PATH_NOT_FOUND'],
      ['POST', `/${CANARY}`, 'PATH_NOT_FOUND'],
      // Another case is another path, to all who look at it.
      ['GET', `/CLONES?${CANARY}=1`, 'PATH_NOT_FOUND'],
      ['PUT', '/Status', 'PATH_NOT_FOUND'],
      ['PUT', `/clone/${CANARY}_`, 'METHOD_NOT_ALLOWED'],
    ] as const)('%s %s is refused', async (method, path, code) => {
      expect((await api().refused(code, method, path)).text).not.toContain(CANARY)
    })

    // Whoever has no token is not to have the server work on what it sends.
    test.each([
      ['/nope', 'PATH_NOT_FOUND'],
      ['/healthz', 'METHOD_NOT_ALLOWED'],
      ['/clone', 'UNAUTHORIZED'],
    ])('a body that is sent to %s without a token is not looked at', async (path, code) => {
      for (const [body, headers] of [
        [`{"${CANARY}`, { 'Content-Type': 'application/json' }],
        [gzipSync('[0]'), { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }],
        [CANARY, { 'Content-Type': 'text/plain' }],
      ] as const) {
        const answer = await api().lab.fetch(path, { method: 'POST', token: null, headers, body })
        expect(await answer.json()).toMatchObject({ code })
      }
    })
  })
}

const CONTROL = 'must not hold control characters'

const fields: [body: unknown, detail: string][] = [
  [{}, 'db: is required'],
  [{ db: {} }, 'db.username: is required; db.password: is required'],
  [{ db: CANARY }, 'db: must be a JSON object'],
  [{ db: null }, 'db: must be a JSON object'],
  [{ db: [] }, 'db: must be a JSON object'],
  [{ db: { username: 7, password: 123_456 } }, 'db.username: must be a text; db.password: must be a text'],
  [{ db: { username: '', password: '' } }, 'db.username: must not be empty; db.password: must not be empty'],
  [{ db: { ...valid, dbName: false } }, 'db.dbName: must be a text'],
  [{ db: { ...valid, pasword: CANARY } }, 'db.pasword: there is no such field'],
  [{ db: { ...valid, [CANARY]: 1 } }, 'db: has a field that there is not'],
  [{ db: valid, password: CANARY }, 'password: there is no such field'],
  [{ db: valid, [`${CANARY} `]: 1 }, 'body: has a field that there is not'],
  [{ db: valid, id: 7 }, 'id: must be a text'],
  [{ db: valid, project: [CANARY] }, 'project: must be a text'],
  [{ db: valid, snapshot: { id: CANARY } }, 'snapshot: must be a text'],
  [{ db: valid, username: true }, 'username: must be a text'],
  [{ db: valid, name: null }, 'name: must be a text'],
  [{ db: valid, protected: 'true' }, 'protected: must be true or false'],
  [{ db: valid, deleteAt: 5 }, 'deleteAt: must be a text'],
  [{ db: valid, deleteAt: CANARY }, 'deleteAt: must be an ISO 8601 time such as 2026-01-31T12:00:00Z'],
  [{ db: valid, name: 'x'.repeat(201) }, 'name: must have at most 200 characters'],
  [{ db: { ...valid, username: 'x'.repeat(64) } }, 'db.username: must have at most 63 characters'],
  [{ db: { ...valid, password: CANARY.repeat(100) } }, 'db.password: must have at most 1000 characters'],
  [{ db: { ...valid, password: `${CANARY}\0` } }, 'db.password: must not hold a zero byte'],
  [{ db: { ...valid, username: `${CANARY}\u001b[31m` } }, `db.username: ${CONTROL}`],
  [{ db: valid, name: `${CANARY}\0` }, `name: ${CONTROL}`],
  [{ db: valid, project: `${CANARY}\n` }, `project: ${CONTROL}`],
  [{ db: valid, username: `${CANARY}\u007f` }, `username: ${CONTROL}`],
]

/** From /proc/PID/statm, whose second number counts resident pages of 4 KiB. */
async function residentBytes(pid: number): Promise<number> {
  const [, pages] = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')
  return Number(pages) * 4096
}
