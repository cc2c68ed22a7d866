import { randomBytes } from 'node:crypto'
import type { Clone, CreateCloneRequest, ErrorCode, Error as WireError } from '@dblab/models'
import { expect } from 'vitest'
import { urlOf } from '../support/clones.ts'
import { eventually, type TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'
import { Document, EVENT_STREAM, PLAIN_TEXT } from './document.ts'

/** The one password of these tests, so that it can be looked for where it must not be. */
export const PASSWORD = 'canary-pässword-7d1e'

export interface Answer<T> {
  status: number
  headers: Headers
  text: string
  body: T
}

export interface CallOptions {
  body?: string | Buffer
  json?: unknown
  headers?: Record<string, string>
  token?: string | null
}

type NewClone = Omit<CreateCloneRequest, 'db'> & { db?: Partial<CreateCloneRequest['db']> }

/** The API as any HTTP client sees it. Every answer is held against the running server's own document. */
export class Api {
  readonly lab: TestLab
  readonly document: Document

  private constructor(lab: TestLab, document: Document) {
    this.lab = lab
    this.document = document
  }

  static async of(lab: TestLab): Promise<Api> {
    const response = await lab.fetch('/openapi.json', { token: null })
    expect(response.status).toBe(200)
    return new Api(lab, new Document((await response.json()) as ConstructorParameters<typeof Document>[0]))
  }

  async call<T>(method: string, path: string, options: CallOptions = {}): Promise<Answer<T>> {
    const response = await this.lab.fetch(path, { method, ...options })
    const text = await textOf(response)
    this.document.expectDescribed(method, path, response.status, text)
    expectDiscreet(text, response.headers, this.lab.token)
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: text === '' || !isJson(response) ? undefined : JSON.parse(text),
    }
  }

  /** A call that must be refused with this code; the rest of the error's form is checked too. */
  async refused(code: ErrorCode, method: string, path: string, options: CallOptions = {}): Promise<Answer<WireError>> {
    const answer = await this.call<WireError>(method, path, options)
    expect(answer.body).toMatchObject({ code })
    expectError(answer)
    return answer
  }

  get<T>(path: string): Promise<Answer<T>> {
    return this.call<T>('GET', path)
  }

  /** A clone that goes at the end of its scope. CREATING, unless `wait` says how many seconds it may take to become ready. */
  async clone(
    request: NewClone = {},
    { wait = 0, headers = {} }: { wait?: number; headers?: Record<string, string> } = {},
  ): Promise<TestClone> {
    const db = { username: 'alice', password: PASSWORD, ...request.db }
    const answer = await this.call<Clone>('POST', `/clone?wait=${wait}`, { json: { ...request, db }, headers })
    expect(answer.status, answer.text).toBe(201)
    if (wait > 0) expect(answer.body.status).toEqual({ code: 'OK', message: 'Database is ready' })
    return new TestClone(this, answer)
  }

  async until(id: string, code: Clone['status']['code'], timeoutMs = 60_000): Promise<Clone> {
    let last: Clone | undefined
    await eventually(
      `clone ${id} is ${code}`,
      async () => {
        last = (await this.get<Clone>(`/clone/${id}`)).body
        return last.status.code === code
      },
      timeoutMs,
    )
    if (!last) throw new Error('no answer')
    return last
  }

  /** Whatever state it is in; gone already is fine. */
  async remove(id: string): Promise<void> {
    const unprotected = await this.call('PATCH', `/clone/${id}`, { json: { protected: false } })
    if (unprotected.status === 404) return
    await this.call('DELETE', `/clone/${id}`)
    await this.untilGone(id)
  }

  async untilGone(id: string, timeoutMs = 60_000): Promise<void> {
    await eventually(`clone ${id} is gone`, async () => (await this.get(`/clone/${id}`)).status === 404, timeoutMs)
  }
}

function isStream({ headers }: Response): boolean {
  return headers.get('Content-Type')?.startsWith(EVENT_STREAM) ?? false
}

/** What else there is, the document names. */
function isJson({ headers }: Response): boolean {
  const type = headers.get('Content-Type') ?? ''
  return !type.startsWith(EVENT_STREAM) && !type.startsWith(PLAIN_TEXT)
}

/** Of a stream, which does not end, what comes until the first event is whole. */
async function textOf(response: Response): Promise<string> {
  if (!isStream(response) || response.body === null) return response.text()
  let text = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk
    if (/^data: .*\n\n/m.test(text)) break
  }
  return text
}

/** A clone of one test. */
export class TestClone implements AsyncDisposable {
  readonly answer: Answer<Clone>
  readonly #api: Api

  constructor(api: Api, answer: Answer<Clone>) {
    this.#api = api
    this.answer = answer
  }

  get id(): string {
    return this.answer.body.id
  }

  get path(): string {
    return `/clone/${this.id}`
  }

  /** Its connection string with the password put in. */
  get login(): string {
    return urlOf(this.answer.body, PASSWORD)
  }

  sql<T extends Record<string, unknown>>(statement: string): Promise<T[]> {
    return query<T>(this.login, statement)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api.remove(this.id)
  }
}

/** A name that no other test has. */
export function unique(prefix: string): string {
  return `${prefix}-${randomBytes(4).toString('hex')}`
}

/** ISO 8601 in UTC, as `Date.toISOString` writes it. */
export const utcTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)

export const text = expect.stringMatching(/\S/)

/** The form that every error has, whatever raised it. */
export function expectError({ status, headers, body }: Answer<WireError>): void {
  expect(body).toMatchObject({ code: expect.stringMatching(/^[A-Z_]+$/), name: text, hint: text, requestId: text })
  if (status === 503 || status === 429) expect(Number(headers.get('Retry-After'))).toBeGreaterThan(0)
  if (status === 401) expect(headers.get('WWW-Authenticate')).toContain('Bearer')
  if (status === 405) expect(headers.get('Allow')).toMatch(/^[A-Z, ]+$/)
  expect(headers.get('X-Request-Id')).toBe(body.requestId)
}

/** True of every answer of the API: it can be found in the log, is shown again by nobody who has not asked whether it still holds, and gives no secret away. */
function expectDiscreet(text: string, headers: Headers, token: string): void {
  expect(headers.get('X-Request-Id')).toMatch(/^[\w-]{10,}$/)
  expect(headers.get('Cache-Control')).toMatch(headers.has('ETag') ? /^private, no-cache$/ : /^no-store\b/)
  expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
  expect(headers.get('X-Powered-By')).toBeNull()
  expect(text).not.toContain(PASSWORD)
  expect(text).not.toContain(token)
}
