import { describe, expect, test } from 'vitest'
import { eventually } from '../support/lab.ts'
import { type Api, expectError } from './api.ts'
import { send } from './raw.ts'

export function httpContract(api: () => Api): void {
  describe('authentication', () => {
    test.each([
      ['Authorization: Bearer', (token: string) => ({ Authorization: `Bearer ${token}` })],
      ['Authorization: bearer', (token: string) => ({ Authorization: `bearer ${token}` })],
      ['Verification-Token', (token: string) => ({ 'Verification-Token': token })],
    ])('takes the token in %s', async (_how, headers) => {
      const { status } = await api().call('GET', '/snapshots', { token: null, headers: headers(api().lab.token) })
      expect(status).toBe(200)
    })

    test.each([
      ['nothing', {}],
      ['an empty header', { Authorization: '' }],
      ['another scheme', { Authorization: 'Basic YTpi' }],
      ['no token', { Authorization: 'Bearer' }],
      ['two tokens', { Authorization: 'Bearer a b' }],
      ['a wrong token', { Authorization: 'Bearer canary-token' }],
      ['a wrong Verification-Token', { 'Verification-Token': 'canary-token' }],
    ])('refuses %s at every operation but /healthz', async (_what, headers: Record<string, string>) => {
      for (const [template, operations] of Object.entries(api().document.openApi.paths)) {
        if (template === '/healthz') continue
        for (const method of Object.keys(operations)) {
          const path = template.replace('{id}', 'some-id')
          const { text } = await api().refused('UNAUTHORIZED', method.toUpperCase(), path, { token: null, headers })
          expect(text).not.toContain('canary')
        }
      }
      expect(api().lab.output).not.toContain('canary-token')
    })
  })

  describe('the document', () => {
    test('is closed: no object takes or has a field that it does not name', () => {
      const { schemas } = api().document.openApi.components
      for (const [name, schema] of Object.entries(schemas)) {
        if (schema.properties) expect(schema.additionalProperties, name).toBe(false)
      }
    })

    test('names each operation once, and both ways to bring the token', () => {
      const { paths, components } = api().document.openApi
      const ids = Object.values(paths).flatMap((operations) =>
        Object.values(operations).map(({ operationId }) => operationId),
      )
      expect(new Set(ids).size).toBe(ids.length)
      expect(components.securitySchemes).toMatchObject({
        bearer: { type: 'http', scheme: 'bearer' },
        verificationToken: { type: 'apiKey', in: 'header', name: 'Verification-Token' },
      })
    })
  })

  describe('/docs', () => {
    test.each(['/', '/docs'])('is where %s leads', async (path) => {
      const response = await api().lab.fetch(path, { token: null, redirect: 'manual' })
      expect([response.status, response.headers.get('Location')]).toEqual([302, '/docs/'])
    })

    test('is a page whose parts all come from the lab, as its content security policy wants', async () => {
      const response = await api().lab.fetch('/docs/', { token: null })
      expect(response.status).toBe(200)
      expect(response.headers.get('Content-Type')).toMatch(/^text\/html/)
      const policy = response.headers.get('Content-Security-Policy')
      expect(policy).toContain("script-src 'self'")
      expect(policy).not.toContain('upgrade-insecure-requests')
      const page = await response.text()
      const parts = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, part]) => part ?? '')
      expect(parts.filter((part) => part.endsWith('.js')).length).toBeGreaterThan(2)
      // An inline script would be refused by the policy.
      expect(page).not.toMatch(/<script(?![^>]*\bsrc=)/)
      for (const part of parts) {
        const asset = await api().lab.fetch(new URL(part, 'http://lab/docs/').pathname, { token: null })
        expect(asset.status, part).toBe(200)
        await asset.arrayBuffer()
      }
      const script = await (await api().lab.fetch('/docs/swagger-ui-init.js', { token: null })).text()
      expect(script).toContain('"verificationToken"')
    })

    test.each(['/docs/nope', '/docs/package.json', '/docs/..%2fpackage.json'])('has no %s', async (path) => {
      await api().refused('PATH_NOT_FOUND', 'GET', path)
    })
  })

  describe('methods', () => {
    test('HEAD answers as GET does, without a body', async () => {
      const { status, headers, text } = await head(api(), '/status')
      expect([status, text]).toEqual([200, ''])
      expect(Number(headers.get('Content-Length'))).toBeGreaterThan(0)
      expect((await head(api(), '/clone/nope')).status).toBe(404)
    })

    test('HEAD of the events has the headers of the stream, and ends', async () => {
      const { status, headers, text } = await head(api(), '/events')
      expect([status, text, headers.get('Content-Type')]).toEqual([200, '', 'text/event-stream; charset=utf-8'])
      expect(headers.get('Cache-Control')).toBe('no-store, no-transform')
      expect(headers.get('X-Accel-Buffering')).toBe('no')
    })

    test.each([
      ['/status', 'GET, HEAD'],
      ['/events', 'GET, HEAD'],
      ['/clone', 'POST'],
      ['/clone/nope', 'GET, HEAD, PATCH, DELETE'],
      ['/openapi.json', 'GET, HEAD'],
      ['/docs', 'GET, HEAD'],
    ])('of %s are told to OPTIONS, and to whoever uses another', async (path, allow) => {
      const options = await api().lab.fetch(path, { method: 'OPTIONS', token: null })
      expect([options.status, options.headers.get('Allow'), await options.text()]).toEqual([204, allow, ''])
      const { headers } = await api().refused('METHOD_NOT_ALLOWED', 'PUT', path)
      expect(headers.get('Allow')).toBe(allow)
    })
  })

  test('who has an answer already is told so, in the way of the document', async () => {
    await using clone = await api().clone({}, { wait: 60 })
    for (const path of ['/clones', '/snapshots', '/retrieval', clone.path, `${clone.path}?wait=30`]) {
      // The size of a new clone is measured in the background.
      await eventually(`${path} is answered 304`, async () => {
        const tag = (await api().get(path)).headers.get('ETag') ?? ''
        const { status, text } = await api().call('GET', path, { headers: { 'If-None-Match': tag } })
        return status === 304 && text === ''
      })
    }
  })

  test('every answer has the headers that keep browsers out of trouble', async () => {
    for (const path of ['/healthz', '/status', '/nope', '/openapi.json', '/docs/']) {
      const { headers } = await api().lab.fetch(path)
      expect(headers.get('X-Content-Type-Options'), path).toBe('nosniff')
      expect(headers.get('Referrer-Policy')).toBe('no-referrer')
      expect(headers.get('X-Frame-Options')).toBe('SAMEORIGIN')
      expect(headers.get('Cross-Origin-Resource-Policy')).toBe('same-origin')
      expect(headers.get('Content-Security-Policy')).toContain("default-src 'self'")
      expect(headers.get('Access-Control-Allow-Origin')).toBeNull()
      // Over plain HTTP, a promise of TLS would lock browsers out.
      expect(headers.get('Strict-Transport-Security')).toBeNull()
    }
  })

  test('a path that climbs out of its place finds nothing', async () => {
    for (const path of [
      '/clone/../../etc/passwd',
      '/docs/../../../../etc/passwd',
      '/clone/%2e%2e%2f%2e%2e',
      '//etc/passwd',
    ]) {
      const head = ['Host: lab', `Authorization: Bearer ${api().lab.token}`, 'Connection: close']
      const answer = await send(api().lab.url, [`GET ${path} HTTP/1.1`, ...head], '')
      expect(answer.status, path).toBe(404)
      expectError({ ...answer, body: JSON.parse(answer.text) })
    }
  })
}

async function head(api: Api, path: string) {
  const response = await api.lab.fetch(path, { method: 'HEAD' })
  return { status: response.status, headers: response.headers, text: await response.text() }
}
