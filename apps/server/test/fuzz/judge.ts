import { Ajv, type ValidateFunction } from 'ajv'
import addFormats from 'ajv-formats'
import { expect } from 'vitest'
import type { Exchange } from '../contract/raw.ts'

/** A request may wait for `requestTimeoutSeconds` when it is not whole; then come the machine's own delays. */
export const BOUND_MS = 15_000

/** Holds each answer against what is promised of all of them, and counts them by status. */
export class Judge {
  readonly byStatus = new Map<number, number>()
  readonly #isError: ValidateFunction
  readonly #token: string

  constructor(document: object, token: string) {
    const ajv = new Ajv({ strict: false, allErrors: true })
    addFormats.default(ajv)
    ajv.addSchema(document, 'lab')
    this.#isError = ajv.compile({ $ref: 'lab#/components/schemas/Error' })
    this.#token = token
  }

  /** @param id what the values of this request are marked with */
  judge(answer: Exchange, { id, method, mayClose }: { id: string; method: string; mayClose: boolean }): void {
    const { status, ended, milliseconds, raw } = answer
    this.byStatus.set(status, (this.byStatus.get(status) ?? 0) + 1)
    expect(ended, 'hung: no whole answer').not.toBe('hung')
    if (status === 0) {
      expect(mayClose, 'closed without an answer').toBe(true)
      return
    }
    expect(milliseconds).toBeLessThan(BOUND_MS)
    expect(status === 503 || status === 507 || status < 500, `status ${status}: ${raw}`).toBe(true)
    expect(raw, 'the token is in the answer').not.toContain(this.#token)
    // What was valid by luck may be answered with what it set.
    if (status >= 300) expect(raw.toLowerCase(), 'a value is echoed').not.toContain(id)
    if (status >= 400) this.#judgeError(answer, method)
  }

  #judgeError({ status, headers, text }: Exchange, method: string): void {
    expect(headers.get('Content-Type')).toBe('application/json; charset=utf-8')
    expect(headers.get('X-Request-Id')).toMatch(/^[\w-]{10,}$/)
    if (status === 503) expect(Number(headers.get('Retry-After'))).toBeGreaterThan(0)
    if (method === 'HEAD') return
    const body: unknown = JSON.parse(text)
    this.#isError(body)
    expect(this.#isError.errors ?? [], text).toEqual([])
    expect(body).toMatchObject({ requestId: headers.get('X-Request-Id') })
    if (status === 503) expect(body).toMatchObject({ code: expect.stringMatching(/^(TOO_BUSY|NO_FREE_PORT)$/) })
    if (status === 507) expect(body).toMatchObject({ code: 'NOT_ENOUGH_DISK_SPACE' })
  }
}
