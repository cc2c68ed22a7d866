import type { AuditEntry } from '@dblab/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestLab } from '../support/lab.ts'
import { People } from './people.ts'

const LIMIT = 3

describe('requests with tokens that are not taken', () => {
  let lab: TestLab
  let people: People

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy', config: { access: { failedAttemptsPerMinute: LIMIT } } })
    await lab.start()
    people = await People.of(lab)
  })

  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  const attempt = (headers: Record<string, string> = {}) =>
    people.api.call<{ code: string }>('GET', '/status', { token: 'canary-of-a-guess', headers })

  test('are told to wait when there are too many, while right ones from the same address are taken', async () => {
    const member = await people.make('member', 'member')
    for (let n = 0; n < LIMIT; n++) expect((await attempt()).status).toBe(401)
    for (let n = 0; n < 3; n++) {
      // Nobody believes what a client itself says of where it comes from.
      const { status, headers, body } = await attempt({ 'X-Forwarded-For': `10.0.0.${n}` })
      expect([status, body.code]).toEqual([429, 'TOO_MANY_ATTEMPTS'])
      expect(Number(headers.get('Retry-After'))).toBeGreaterThan(0)
      expect(Number(headers.get('Retry-After'))).toBeLessThanOrEqual(60)
    }
    expect((await member.call('GET', '/status')).status).toBe(200)
    expect((await people.first.call('GET', '/status')).status).toBe(200)
    expect((await people.api.call('GET', '/healthz', { token: null })).status).toBe(200)
    // No token is no guess, and neither is one that was right once.
    await people.api.refused('UNAUTHORIZED', 'GET', '/status', { token: null })
    await people.first.call('DELETE', `/token/${member.id}`)
    expect((await member.refused('UNAUTHORIZED', 'GET', '/status')).detail).toBe('the token was revoked')
    expect((await attempt()).status).toBe(429)
  })

  test('are in the audit log, without what was sent', async () => {
    const { body, text } = await people.first.call<AuditEntry[]>('GET', '/audit?operation=StatusStatus')
    expect(body.filter(({ status }) => status === 401)).toContainEqual(
      expect.objectContaining({ tokenName: '', address: '127.0.0.1', reason: 'the token is not one of this lab' }),
    )
    expect(body.filter(({ status }) => status === 429).length).toBeGreaterThan(0)
    expect(body).toContainEqual(expect.objectContaining({ tokenName: 'member', reason: 'the token was revoked' }))
    expect(text + lab.output).not.toContain('canary')
  })

  test('come from where a trusted proxy says', async () => {
    await lab.interrupt()
    const config = { access: { failedAttemptsPerMinute: LIMIT, trustedProxies: ['loopback'] } }
    const behind = await TestLab.make({ driver: 'copy', directory: lab.directory, config })
    await behind.start()
    people = await People.of(behind)
    const via = (address: string) => attempt({ 'X-Forwarded-For': address })
    for (let n = 0; n < LIMIT; n++) await via('10.0.0.1')
    expect((await via('10.0.0.1')).status).toBe(429)
    expect((await via('10.0.0.2')).status).toBe(401)
    // The last that is not a proxy is the client; what it wrote before that is its own word.
    expect((await via('10.0.0.9, 10.0.0.1')).status).toBe(429)
    for (let n = 0; n < LIMIT; n++) await via(`2001:db8:1:2::${n}`)
    expect((await via('2001:db8:1:2:a:b:c:d')).status).toBe(429)
    expect((await via('2001:db8:1:3::1')).status).toBe(401)
    expect((await via('canary <script>')).status).toBe(401)
    const { body, text } = await people.first.call<AuditEntry[]>('GET', '/audit?limit=1')
    expect([body[0]?.address, text.includes('canary')]).toEqual(['unknown', false])
    await behind.interrupt()
  })
})
