import { readFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { apiError, cloneBody, rejection, StubLab } from '../test/stub-lab.ts'
import { openLab as openInBrowser } from './browser.ts'
import { fetchTransport, labFromEnvironment, openLab } from './index.ts'
import { VERSION } from './version.ts'

const TOKEN = 'token-that-nobody-may-see'
const PASSWORD = 'pass<b>word</b> that nobody may see'

const shown = (value: unknown) =>
  [inspect(value, { depth: 20, showHidden: true }), JSON.stringify(value), String(value), (value as Error).stack].join(
    '\n',
  )

describe('secrets', () => {
  it.each(['undici', 'fetch'])('are not shown by a lab, a handle or an error over %s', async (name) => {
    await using stub = await StubLab.start()
    const transport = name === 'fetch' ? fetchTransport() : undefined
    await using lab = openLab({ url: stub.url, token: TOKEN, retries: 0, transport })
    const db = { password: PASSWORD }
    stub.on('POST /clone', { status: 201, body: cloneBody('OK') })
    const objects: unknown[] = [lab, lab.clones, lab.snapshots, await lab.clones.create({ db })]
    for (const answer of [
      'cut',
      apiError(400, 'INVALID_REQUEST'),
      // A debugging proxy that echoes what it got.
      { status: 502, body: `Bearer ${TOKEN} {"password":"${PASSWORD}"} ${PASSWORD}` },
    ] as const) {
      stub.on('POST /clone', answer)
      objects.push(await rejection(lab.clones.create({ db })))
    }
    stub.on('POST /clone', 'silent')
    objects.push(
      await rejection(lab.call('POST /clone', { body: { db: { username: 'u', ...db } } }, { timeoutMs: 50 })),
    )
    for (const object of objects) {
      expect(shown(object)).not.toContain(TOKEN)
      expect(shown(object)).not.toMatch(/nobody may see/)
    }
  })

  it('that cannot be sent are not in the error either', () => {
    for (const options of [
      { url: 'http://h', token: 'bad\ntoken' },
      { url: 'http://user:badtoken@h' },
      { url: 'http://h/?badtoken' },
      { url: 'badtoken' },
      { url: 'ftp://badtoken' },
    ]) {
      const open = () => openLab(options)
      expect(open).toThrow(TypeError)
      expect(open).not.toThrow(/bad.?token/s)
    }
  })
})

describe('a lab', () => {
  it('shows its address alone', async () => {
    await using lab = openLab({ url: 'http://h:1/labs/one/', token: TOKEN })
    expect(inspect(lab)).toBe("Lab { url: 'http://h:1/labs/one' }")
    expect(JSON.stringify(lab)).toBe('{"url":"http://h:1/labs/one"}')
  })

  it('lists, takes and deletes snapshots', async () => {
    await using stub = await StubLab.start()
    await using lab = openLab({ url: stub.url })
    stub.on('GET /snapshots', { body: [{ id: 's1' }] }).on('POST /snapshot', { status: 201, body: { id: 's2' } })
    stub.on('DELETE /snapshot/s1', { status: 204 })
    expect(await lab.snapshots.list()).toEqual([{ id: 's1' }])
    expect(await lab.snapshots.create({ cloneId: 'c1' })).toEqual({ id: 's2' })
    await lab.snapshots.delete('s1')
    expect(stub.requests('POST /snapshot')[0]?.body).toEqual({ cloneId: 'c1' })
  })

  it('makes, lists and revokes tokens, and reads the audit log', async () => {
    await using stub = await StubLab.start()
    await using lab = openLab({ url: stub.url })
    stub.on('GET /tokens', { body: [{ id: 't1' }] }).on('POST /token', { status: 201, body: { id: 't1', token: 's' } })
    stub.on('DELETE /token/t1', { status: 204 }).on('GET /audit', { body: [{ id: 7 }] })
    const before = Date.now()
    expect((await lab.tokens.create({ name: 'ci', role: 'member', ttl: '90d' })).token).toBe('s')
    const [sent] = stub.requests('POST /token').map(({ body }) => body as { expiresAt: string })
    const { expiresAt = '', ...rest } = sent ?? {}
    expect(rest).toEqual({ name: 'ci', role: 'member' })
    expect(Date.parse(expiresAt) - before).toBeGreaterThanOrEqual(90 * 86_400_000)
    expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(90 * 86_400_000)
    expect(() => lab.tokens.create({ name: 'ci', role: 'member', ttl: '9 days' })).toThrow(TypeError)
    expect(() => lab.tokens.create({ name: 'ci', role: 'member', ttl: '9d', expiresAt: '2999-01-01' })).toThrow(
      TypeError,
    )
    expect(await lab.tokens.list()).toEqual([{ id: 't1' }])
    await lab.tokens.revoke('t1')
    expect(await lab.audit.list({ clone: 'c1', before: 9 })).toEqual([{ id: 7 }])
    expect(stub.requests('GET /audit')[0]?.query).toEqual({ clone: 'c1', before: '9' })
  })

  it('of the environment is the one that DBLAB_URL and DBLAB_TOKEN name', async () => {
    await using stub = await StubLab.start()
    stub.on('GET /status', { body: {} })
    await using lab = labFromEnvironment({}, { DBLAB_URL: stub.url, DBLAB_TOKEN: TOKEN })
    await lab.status()
    expect(stub.received[0]?.headers.authorization).toBe(`Bearer ${TOKEN}`)
    await using local = labFromEnvironment({}, { DBLAB_URL: '' })
    expect(local.url).toBe('http://127.0.0.1:2345')
  })

  it('reads no environment but through that', async () => {
    await using stub = await StubLab.start()
    stub.on('GET /status', { body: {} })
    process.env.DBLAB_TOKEN = TOKEN
    try {
      await using lab = openLab({ url: stub.url })
      await lab.status()
    } finally {
      delete process.env.DBLAB_TOKEN
    }
    expect(stub.received[0]?.headers.authorization).toBeUndefined()
  })

  it('takes a ca for its own transport only', () => {
    expect(() => openLab({ url: 'https://h', ca: 'pem', transport: fetchTransport() })).toThrow(TypeError)
  })

  it('works in a browser, over fetch and without a header that browsers own', async () => {
    await using stub = await StubLab.start()
    await using lab = openInBrowser({ url: stub.url, token: TOKEN })
    stub.on('POST /clone', { status: 201, body: cloneBody('OK') })
    expect((await lab.clones.create()).id).toBe('c1')
    expect(stub.received[0]?.headers['user-agent']).not.toMatch(/dblab/)
  })
})

describe('the package', () => {
  it('has the version that it says', async () => {
    const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
    expect(VERSION).toBe(version)
  })

  it('has an entry for browsers that imports nothing of Node, and no package but the parser of event streams', async () => {
    const seen = new Set<string>()
    const outside: string[] = []
    const visit = async (file: URL): Promise<void> => {
      if (seen.has(file.href)) return
      seen.add(file.href)
      const source = await readFile(file, 'utf8')
      for (const [, type, name = ''] of source.matchAll(/^(?:import|export) (type )?[^'"`]*?from '([^']+)'/gms)) {
        if (type) continue
        if (name.startsWith('.')) await visit(new URL(name, file))
        else outside.push(name)
      }
    }
    await visit(new URL('./browser.ts', import.meta.url))
    expect(seen.size).toBeGreaterThan(10)
    expect(outside).toEqual(['eventsource-parser'])
  })
})
