import { execFile } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { AuditEntry, CreatedToken, Token } from '@dblab/models'
import { isLabApiError, openLab } from '@dblab/sdk'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Api, utcTime } from '../contract/api.ts'
import { TestLab } from '../support/lab.ts'
import { People } from './people.ts'

const execute = promisify(execFile)
const SECRET = /^dblab_[\w-]{32}$/

async function certificate(cert: string, key: string): Promise<void> {
  const names = ['-subj', '/CN=lab.example', '-addext', 'subjectAltName=DNS:lab.example']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  await execute('openssl', ['req', '-x509', ...curve, '-nodes', '-days', '2', ...names, '-keyout', key, '-out', cert])
}

describe('tokens', () => {
  let lab: TestLab
  let people: People
  const secrets: string[] = []

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    people = await People.of(lab)
  })

  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  test('are made over the API, and show their secret once', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    const { body } = await people.first.call<CreatedToken>('POST', '/token', { name: 'ci', role: 'viewer', expiresAt })
    expect(body).toEqual({
      ...{ id: expect.stringMatching(/^[a-z0-9]{12}$/), name: 'ci', role: 'viewer', status: 'ACTIVE', expiresAt },
      ...{ createdAt: utcTime, lastUsedAt: '', token: expect.stringMatching(SECRET) },
    })
    secrets.push(body.token)
    const { body: list, text } = await people.first.call<Token[]>('GET', '/tokens')
    const { token, ...rest } = body
    expect(list).toContainEqual(rest)
    expect(text).not.toContain(token)
  })

  test('have names of their own while they are active, and not those that stand for the lab', async () => {
    for (const name of ['ci', 'first', 'lab', 'command'])
      await people.first.refused('TOKEN_ALREADY_EXISTS', 'POST', '/token', { name, role: 'admin' })
    for (const json of [
      { name: '', role: 'admin' },
      { name: 'a b', role: 'admin' },
      { name: 'x'.repeat(64), role: 'admin' },
      { name: 'a', role: 'root' },
      { name: 'a' },
      { name: 'a', role: 'admin', expiresAt: '2020-01-01' },
      { name: 'a', role: 'admin', expiresAt: 'soon' },
    ]) {
      await people.first.refused('INVALID_REQUEST', 'POST', '/token', json)
    }
  })

  test('are refused once they have expired, and say so', async () => {
    const person = await people.make('short', 'viewer', new Date(Date.now() + 1500).toISOString())
    expect((await person.call('GET', '/clones')).status).toBe(200)
    await delay(1600)
    const { detail } = await person.refused('UNAUTHORIZED', 'GET', '/clones')
    expect(detail).toMatch(/^the token expired at 20/)
    expect((await people.first.call<Token[]>('GET', '/tokens')).body).toContainEqual(
      expect.objectContaining({ name: 'short', status: 'EXPIRED' }),
    )
    // Its name is free again.
    await people.make('short', 'viewer')
  })

  test('are refused the moment they are revoked; twice is fine, and another id is not', async () => {
    const person = await people.make('doomed', 'admin')
    expect((await person.call('GET', '/clones')).status).toBe(200)
    for (let time = 0; time < 2; time++)
      expect((await people.first.call('DELETE', `/token/${person.id}`)).status).toBe(204)
    const { detail } = await person.refused('UNAUTHORIZED', 'GET', '/clones')
    expect(detail).toBe('the token was revoked')
    await person.refused('UNAUTHORIZED', 'POST', '/token', { name: 'a', role: 'admin' })
    await people.first.refused('TOKEN_NOT_FOUND', 'DELETE', '/token/nope')
  })

  test('are made, listed and revoked by the SDK', async () => {
    await using client = lab.client()
    const made = await client.tokens.create({ name: 'by-sdk', role: 'member', ttl: '1h' })
    secrets.push(made.token)
    await using own = openLab({ url: lab.url, token: made.token })
    expect(await own.clones.list()).toEqual([])
    const refused = await own.tokens.list().catch((error: unknown) => error)
    expect(isLabApiError(refused, 'FORBIDDEN')).toBe(true)
    await client.tokens.revoke(made.id)
    expect(await client.tokens.list()).toContainEqual(expect.objectContaining({ id: made.id, status: 'REVOKED' }))
    const gone = await own.clones.list().catch((error: unknown) => error)
    expect(isLabApiError(gone, 'UNAUTHORIZED')).toBe(true)
    const [entry] = await client.audit.list({ operation: 'TokenDelete', limit: 1 })
    expect(entry).toMatchObject({ token: made.id, tokenName: 'first', status: 204 })
  })

  test('are made, listed and revoked by the command while the server runs', async () => {
    const made = await lab.run(['token', 'create', '--name', 'by-command', '--role', 'member', '--expires', '90d'])
    expect(made).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Made the token by-command \(/) })
    const secret = made.stdout.trim()
    expect(secret).toMatch(SECRET)
    secrets.push(secret)
    expect((await lab.fetch('/clones', { token: secret })).status).toBe(200)
    const again = await lab.run(['token', 'create', '--name', 'by-command', '--role', 'member'])
    expect([again.code, again.stdout]).toEqual([1, ''])
    expect(again.stderr).toContain('there is an active token of this name')
    const reserved = await lab.run(['token', 'create', '--name', 'first', '--role', 'member'])
    expect(reserved.code).toBe(1)
    expect(reserved.stderr).toContain('stands for somebody else in the audit log')
    expect(reserved.stderr).not.toContain('active token of this name')
    expect((await lab.run(['token', 'list'])).stdout).toMatch(/by-command +member +ACTIVE +20\S+ +20/)
    expect(await lab.run(['token', 'revoke', 'by-command'])).toMatchObject({ code: 0 })
    expect((await lab.fetch('/clones', { token: secret })).status).toBe(401)
    expect(await lab.run(['token', 'revoke', 'by-command'])).toMatchObject({ code: 1, stdout: '' })
    expect(await lab.run(['token', 'create', '--name', 'a', '--role', 'root'])).toMatchObject({ code: 1 })
    expect(await lab.run(['token', 'create', '--name', 'a', '--role', 'admin', '--expires', 'x'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('expiresAt: must be an ISO 8601 time'),
    })
  })

  test('outlive a stop of the server, and can be made and revoked while it is down', async () => {
    const kept = await people.make('kept', 'viewer')
    secrets.push(kept.secret)
    expect((await kept.call('GET', '/clones')).status).toBe(200)
    await lab.interrupt()
    const list = await lab.run(['token', 'list'])
    expect(list.stdout).toMatch(new RegExp(`^${kept.id} +kept +viewer +ACTIVE +never +20`, 'm'))
    const made = await lab.run(['token', 'create', '--name', 'offline', '--role', 'viewer'])
    expect(made.code, made.stderr).toBe(0)
    secrets.push(made.stdout.trim())
    expect(await lab.run(['token', 'revoke', 'short'])).toMatchObject({ code: 0 })
    await lab.start()
    people = await People.of(lab)
    for (const token of [kept.secret, made.stdout.trim()])
      expect((await lab.fetch('/clones', { token })).status).toBe(200)
    const { body } = await people.first.call<AuditEntry[]>('GET', '/audit?tokenName=command')
    expect(body.map(({ operation }) => operation)).toEqual(['TokenDelete', 'TokenCreate'])
    const used = (await people.first.call<Token[]>('GET', '/tokens')).body.find(({ name }) => name === 'kept')
    expect(used?.lastUsedAt).toEqual(utcTime)
  })

  test('lie nowhere: of each there is a hash in the catalogue, and in no other file anything', async () => {
    expect(secrets.length).toBeGreaterThan(4)
    const directory = join(lab.directory, '.dblab')
    const names = (await readdir(directory)).filter((name) => /\.db(-wal|-shm|-reserve)?$/.test(name))
    expect(names).toEqual(expect.arrayContaining(['catalogue.db', 'catalogue.db-wal', 'audit.db', 'audit.db-wal']))
    for (const name of names) {
      const bytes = await readFile(join(directory, name))
      for (const secret of secrets) {
        expect(bytes.includes(secret), name).toBe(false)
        expect(bytes.includes(secret.slice('dblab_'.length)), name).toBe(false)
        expect(bytes.includes(Buffer.from(secret.slice('dblab_'.length), 'base64url')), name).toBe(false)
      }
      expect((await stat(join(directory, name))).mode & 0o077, name).toBe(0)
    }
    for (const secret of secrets) expect(lab.output).not.toContain(secret)
  })

  test('are reached by the command over TLS, at the server that has the certificate and no other', async () => {
    const config = { tls: { certFile: 'cert.pem', keyFile: 'key.pem' } }
    await using secured = await TestLab.make({ driver: 'copy', config })
    const [cert, key] = [join(secured.directory, 'cert.pem'), join(secured.directory, 'key.pem')]
    // Of another name than the address that the command calls.
    await certificate(cert, key)
    await secured.start()
    const made = await secured.run(['token', 'create', '--name', 'over-tls', '--role', 'viewer'])
    expect(made, made.stderr).toMatchObject({ code: 0, stdout: expect.stringMatching(/^dblab_/) })
    await certificate(cert, join(secured.directory, 'other-key.pem'))
    const refused = await secured.run(['token', 'list'])
    expect([refused.code, refused.stdout]).toEqual([1, ''])
    expect(refused.stderr + secured.output).not.toContain(secured.token)
  })

  test('can be made before the lab itself is', async () => {
    await using fresh = await TestLab.make({ driver: 'copy' })
    expect(await fresh.run(['token', 'list'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is no lab'),
    })
    const made = await fresh.run(['token', 'create', '--name', 'early', '--role', 'viewer'])
    expect(made.code, made.stderr).toBe(0)
    await fresh.start()
    const api = await Api.of(fresh)
    const { status, body } = await api.call<{ warnings: unknown[] }>('GET', '/status', { token: made.stdout.trim() })
    expect([status, body.warnings]).toEqual([200, []])
  })
})
