import type { Clone, CreatedToken, Role, Error as WireError } from '@dblab/models'
import { expect } from 'vitest'
import { type Answer, Api, PASSWORD } from '../contract/api.ts'
import type { TestLab } from '../support/lab.ts'

/** Somebody with a token. */
export class Person {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly secret: string
  readonly #api: Api

  constructor(api: Api, { id, name, role, token }: Pick<CreatedToken, 'id' | 'name' | 'role' | 'token'>) {
    this.#api = api
    this.id = id
    this.name = name
    this.role = role
    this.secret = token
  }

  call<T>(method: string, path: string, json?: unknown, headers: Record<string, string> = {}): Promise<Answer<T>> {
    return this.#api.call<T>(method, path, { token: this.secret, headers, ...(json !== undefined && { json }) })
  }

  /** Body and status of an answer that must be an error. */
  async refused(code: WireError['code'], method: string, path: string, json?: unknown): Promise<WireError> {
    const { body } = await this.#api.refused(code, method, path, {
      token: this.secret,
      ...(json !== undefined && { json }),
    })
    return body
  }

  /** A clone of its own, ready. */
  async clone(fields: Record<string, unknown> = {}, headers: Record<string, string> = {}): Promise<Clone> {
    const json = { db: { username: 'alice', password: PASSWORD }, ...fields }
    const { status, body, text } = await this.call<Clone>('POST', '/clone?wait=60', json, headers)
    expect(status, text).toBe(201)
    expect(body.status.code).toBe('OK')
    return body
  }
}

/** Those who hold tokens of a running lab, made on demand by its first one. */
export class People {
  readonly api: Api

  private constructor(api: Api) {
    this.api = api
  }

  static async of(lab: TestLab): Promise<People> {
    return new People(await Api.of(lab))
  }

  /** Whoever holds the lab's first token. */
  get first(): Person {
    return new Person(this.api, { id: '', name: 'first', role: 'admin', token: this.api.lab.token })
  }

  async make(name: string, role: Role, expiresAt?: string): Promise<Person> {
    const { status, body, text } = await this.api.call<CreatedToken>('POST', '/token', {
      json: { name, role, ...(expiresAt && { expiresAt }) },
    })
    expect(status, text).toBe(201)
    return new Person(this.api, body)
  }
}
