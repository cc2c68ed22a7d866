import { describe, expect, test } from 'vitest'
import type { TestLab } from '../support/lab.ts'
import { send, trickle } from './raw.ts'

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

    test('comes byte by byte is given up, two hundred at once too, while everybody else is answered', async () => {
      const slow = [
        ...Array(100).fill(head(100).slice(0, 3)),
        ...Array(100).fill([...head(100), '', '{"name": "canary-']),
      ]
      const trickles = slow.map((lines: string[]) => trickle(lab().url, lines.join('\r\n')))
      const all = Promise.all(trickles)
      let slowest = 0
      let good = 0
      let isOver = false
      void all.finally(() => {
        isOver = true
      })
      while (!isOver) {
        const started = performance.now()
        expect((await lab().fetch('/clones')).status).toBe(200)
        slowest = Math.max(slowest, performance.now() - started)
        good++
      }
      expect(slowest).toBeLessThan(1500)
      expect(good).toBeGreaterThan(20)
      for (const { status, milliseconds, text } of await all) {
        expect(status).toBe(408)
        // requestTimeoutSeconds, the second between two looks, and what a busy machine adds.
        expect(milliseconds).toBeGreaterThan(2500)
        expect(milliseconds).toBeLessThan(8000)
        expect(text).not.toContain('canary')
      }
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
      ['expects what there is not', 417, ['GET /status HTTP/1.1', 'Host: lab', 'Expect: canary-']],
      ['has a header that is none', 400, ['GET /status HTTP/1.1', 'Host: lab', 'canary-']],
    ])('%s is refused with %i', async (_what, expected, lines) => {
      const { status, text } = await send(lab().url, lines, '')
      expect(status).toBe(expected)
      expect(JSON.parse(text)).toMatchObject({ code: 'INVALID_REQUEST', requestId: expect.any(String) })
      expect(text).not.toContain('canary')
      expect(lab().output).not.toContain('canary-canary')
      expect((await lab().fetch('/healthz')).status).toBe(200)
    })
  })
}
