import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clone } from '@dblab/models'
import { expect } from 'vitest'
import { urlOf } from '../support/clones.ts'
import type { TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'
import type { Secrets } from './forms.ts'

/** What a lab does in its life, with secrets in every place in which people put them. */
export class Life {
  /** Head and body of each answer. */
  readonly answers: string[] = []
  /** What each of its processes has logged, and printed but for the first start. */
  readonly logs: string[] = []
  readonly #lab: TestLab
  readonly #secrets: Secrets
  readonly #token: () => string

  constructor(lab: TestLab, secrets: Secrets, token: () => string) {
    this.#lab = lab
    this.#secrets = secrets
    this.#token = token
  }

  async call(method: string, path: string, json?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const body = json === undefined ? {} : { json }
    const response = await this.#lab.fetch(path, { method, token: this.#token(), headers, ...body })
    const copy = response.clone()
    this.answers.push(`${copy.status} ${JSON.stringify([...copy.headers])}\n${await copy.text()}`)
    return response
  }

  async create(id: string, password: string, username = 'alice'): Promise<Clone> {
    const json = { id, db: { username, password } }
    const response = await this.call('POST', '/clone?wait=60', json, { 'Idempotency-Key': `key-of-${id}` })
    const clone = (await response.json()) as Clone
    expect(clone.status?.code, JSON.stringify(clone)).toBe('OK')
    return clone
  }

  /** Everything that the API can do to a clone, with its user at work in it. */
  async everyOperation(password: string): Promise<void> {
    const clone = await this.create('worked-on', password)
    await query(urlOf(clone, password), 'CREATE TABLE mine AS SELECT 1 AS one')
    const wrong = this.#secrets.add('a wrong password', 'wr0ng-passw0rd-9c1f')
    await expect(query(urlOf(clone, wrong), 'SELECT 1')).rejects.toMatchObject({ code: '28P01' })
    const typed = this.#secrets.add('a password that its user typed', 'typed-by-user-52ac')
    await expect(query(urlOf(clone, password), `ALTER ROLE alice PASSWORD '${typed}' NONSENSE`)).rejects.toThrow()
    await this.call('PATCH', '/clone/worked-on', { name: 'a name', protected: false })
    expect((await this.call('POST', '/clone/worked-on/reset?wait=60')).status).toBe(202)
    expect((await this.call('POST', '/snapshot', { cloneId: 'worked-on', id: 'taken' })).status).toBe(201)
    expect((await this.call('POST', '/clone', { id: 'worked-on', db: { username: 'a', password } })).status).toBe(409)
    await this.call('GET', '/clones')
    await this.call('GET', '/status')
    expect((await this.call('DELETE', '/snapshot/taken')).status).toBe(204)
  }

  /** Secrets in places in which they are nothing, as people paste them. */
  async mistakes(password: string): Promise<void> {
    const token = this.#token()
    const wrong = this.#secrets.add('a wrong token', 'wrong-token-of-somebody-e71b')
    for (const secret of [password, token, wrong]) {
      const inPath = encodeURIComponent(secret)
      for (const path of [`/clone/${inPath}`, `/${inPath}`, `/clones?username=${inPath}`, `/status?token=${inPath}`])
        await this.call('GET', path)
      await this.call('DELETE', `/snapshot/${inPath}`)
      await this.call('POST', `/clone/${inPath}/reset`)
      await this.call('GET', '/status', undefined, { Authorization: `Bearer ${encodeURIComponent(secret)}x` })
      await this.call('GET', '/status', undefined, { Authorization: `Basic ${Buffer.from(secret).toString('base64')}` })
      await this.call('GET', '/status', undefined, { 'X-Token': inPath, Cookie: `token=${inPath}` })
      await this.call('POST', '/clone', { password: secret, db: { username: 'alice', password: secret } })
      await this.call('POST', '/clone', { id: secret, db: secret })
      await this.call('POST', '/clone', { snapshot: secret, db: { username: 'alice', password: secret } })
      await this.call('POST', '/clone', { db: { username: secret.repeat(5), password: 7 } })
      await this.call('POST', '/clone', { db: { username: 'alice', password: secret, dbName: secret } })
      await this.call('POST', '/clone', { db: { username: 'pg_read_all_data', password: secret } })
      await this.call('POST', '/snapshot', { cloneId: secret.slice(0, 60), message: 7 })
    }
  }

  /** An import that fails at a statement with a password in it, and one that makes a role with one. */
  async imports(): Promise<void> {
    const secret = this.#secrets.add('a password in a dump', "dump-p4ssw0rd-'0b44")
    const literal = `'${secret.replaceAll("'", "''")}'`
    const bad = await this.dump('bad', `CREATE TABLE a (i int);\nCREATE ROLE app LOGIN PASSWORD ${literal} NONSENSE;\n`)
    await this.failed(['start', '--import', bad])
    const row = this.#secrets.add('a row of a dump', 'row-of-a-dump-secret-77')
    const rows = `CREATE TABLE a (i int PRIMARY KEY, s text);\nCOPY a FROM stdin;\n1\t${row}\n1\t${row}\n\\.\n`
    await this.failed(['start', '--import', await this.dump('rows', rows)])
    await this.failed(['start', '--import', join(this.#lab.directory, 'absent.sql')])
  }

  async dump(name: string, text: string): Promise<string> {
    const path = join(this.#lab.directory, `${name}.sql`)
    await writeFile(path, text)
    return path
  }

  async failed(args: string[]): Promise<void> {
    const { code, stdout, stderr } = await this.#lab.run(args)
    expect(code, stderr).toBe(1)
    this.logs.push(stdout, stderr)
  }

  /** Ends the server as it is asked to, and keeps what it said. */
  async ended(how: () => Promise<unknown>, { printedToken = false } = {}): Promise<void> {
    this.logs.push(this.#lab.output, ...(printedToken ? [] : [this.#lab.printed]))
    await how()
  }
}
