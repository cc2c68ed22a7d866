import { describe, expect, test } from 'vitest'
import type { TestLab } from '../support/lab.ts'
import { send } from './raw.ts'

export function slowRequests(lab: () => TestLab): void {
  describe('a request that', () => {
    const head = (length: number) => [
      'POST /clone HTTP/1.1',
      'Host: lab',
      `Authorization: Bearer ${lab().token}`,
      'Content-Type: application/json',
      `Content-Length: ${length}`,
    ]

    test('is too large is refused before it is read', async () => {
      const { status, text, milliseconds } = await send(lab().url, head(1e12), '{"name": "canary-')
      expect([status, JSON.parse(text)]).toMatchObject([413, { code: 'BODY_TOO_LARGE' }])
      expect(milliseconds).toBeLessThan(2500)
    })

    test('never ends is given up after requestTimeoutSeconds', async () => {
      const { status, text, milliseconds } = await send(lab().url, head(100), '{"name": "canary-')
      expect(status).toBe(408)
      expect(milliseconds).toBeGreaterThan(2500)
      expect(text).not.toContain('canary')
    })

    test.each([
      ['has headers that are too large', 431, ['GET /status HTTP/1.1', 'Host: lab', `X: ${'canary-'.repeat(5000)}`]],
      ['is no HTTP', 400, ['canary-']],
      [
        'has two lengths',
        400,
        [...['POST /clone HTTP/1.1', 'Host: lab'], 'Content-Length: 1', 'Transfer-Encoding: chunked'],
      ],
      ['names no host', 400, ['GET /status HTTP/1.1']],
      ['has a header that is none', 400, ['GET /status HTTP/1.1', 'Host: lab', 'canary-']],
    ])('%s is refused with %i', async (_what, expected, lines) => {
      const { status, text } = await send(lab().url, lines, '')
      expect(status).toBe(expected)
      expect(text).not.toContain('canary')
      expect(lab().output).not.toContain('canary-canary')
      expect((await lab().fetch('/healthz')).status).toBe(200)
    })
  })
}
