import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Instance } from '@dblab/models'
import { findAccount } from '@dblab/provision'
import { hasProgram, isRoot } from '@dblab/provision/testbed'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { openSession } from '../support/sql.ts'
import { Authority } from './authority.ts'

const execute = promisify(execFile)
const missing = ['openssl', 'psql'].find((program) => !hasProgram(program))

describe.skipIf(missing)(
  `a lab whose clones have a certificate${missing ? ` (skipped: there is no ${missing})` : ''}`,
  () => {
    let directory: string
    let authority: Authority
    let lab: TestLab
    let url: string

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'dblab-tls-'))
      authority = new Authority(directory)
      await authority.found()
      await authority.issue(1001)
      const { certFile, keyFile } = authority
      const clones = { host: '0.0.0.0', publicHost: 'localhost', tls: { certFile, keyFile } }
      lab = await TestLab.make({ driver: 'copy', config: { clones } })
      await lab.start()
      const clone = await createClone(lab, { id: 'secured' })
      expect(clone.status).toMatchObject({ code: 'OK' })
      url = urlOf(clone)
    })
    afterAll(async () => {
      await lab?.[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    })

    const psql = async (
      mode: Record<string, string>,
      statement = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    ) => {
      const changed = new URL(url)
      for (const [name, value] of Object.entries(mode)) changed.searchParams.set(name, value)
      return (await execute('psql', [changed.href, '-Atc', statement])).stdout.trim()
    }

    test('gives a connection string that psql takes as it is, over TLS', async () => {
      expect(url).toMatch(/@localhost:\d+\/shop\?sslmode=require$/)
      expect(await psql({})).toBe('t')
    })

    test('proves to psql that it is the one', async () => {
      expect(await psql({ sslmode: 'verify-full', sslrootcert: authority.caFile })).toBe('t')
      // The name counts, not only who signed it.
      const elsewhere = new URL(url)
      elsewhere.hostname = '127.0.0.2'
      elsewhere.searchParams.set('sslmode', 'verify-full')
      elsewhere.searchParams.set('sslrootcert', authority.caFile)
      await expect(execute('psql', [elsewhere.href, '-c', 'SELECT 1'])).rejects.toMatchObject({
        stderr: expect.stringMatching(/certificate for "localhost".* does not match host name "127\.0\.0\.2"/),
      })
    })

    test('gives one that node-postgres takes as it is where Node knows the authority, and not where it does not', async () => {
      const script = `
      const pg = require('pg')
      const client = new pg.Client({ connectionString: process.env.CLONE_URL })
      client.connect().then(() => client.query('SELECT 1')).then(() => client.end()).catch((error) => { console.log(error.code); process.exitCode = 1 })`
      const env = { PATH: process.env.PATH, CLONE_URL: url }
      const cwd = new URL('../..', import.meta.url)
      await execute(process.execPath, ['-e', script], { cwd, env: { ...env, NODE_EXTRA_CA_CERTS: authority.caFile } })
      await expect(execute(process.execPath, ['-e', script], { cwd, env })).rejects.toMatchObject({
        stdout: expect.stringMatching(/CERT|SIGN/),
      })
    })

    test('refuses connections without TLS', async () => {
      await expect(psql({ sslmode: 'disable' })).rejects.toMatchObject({
        stderr: expect.stringMatching(/pg_hba\.conf rejects connection .* no encryption/),
      })
      const plain = new pg.Client({ connectionString: url.replace(/\?.*/, ''), ssl: false })
      await expect(plain.connect()).rejects.toMatchObject({ code: '28000' })
    })

    test('does not warn that what clones send goes over the network in clear', async () => {
      const { warnings } = (await (await lab.fetch('/status')).json()) as Instance
      expect(warnings.map(({ code }) => code)).not.toContain('INSECURE_CONNECTION')
    })

    test.skipIf(!isRoot)(
      "keeps the key from everybody but Postgres' account (needs root: to have another account)",
      async () => {
        const instances = join(lab.directory, '.dblab/postgres/instances')
        const [name] = await readdir(instances)
        const key = await stat(join(instances, name ?? '', 'server.key'))
        const { uid } = await findAccount()
        expect({ uid: key.uid, mode: (key.mode & 0o777).toString(8) }).toEqual({ uid, mode: '600' })
        expect(uid).not.toBe(0)
      },
    )

    test('takes a renewed certificate at its next start, and cuts no open connection', async () => {
      const ssl = { ca: await readFile(authority.caFile, 'utf8'), servername: 'localhost' }
      const serial = async () => {
        const client = new pg.Client({ connectionString: url.replace(/\?.*/, ''), ssl })
        await client.connect()
        // As the server has it: the one that this connection was made with.
        const stream = (client as unknown as { connection: { stream: import('node:tls').TLSSocket } }).connection.stream
        const { serialNumber } = stream.getPeerCertificate()
        await client.end()
        return Number.parseInt(serialNumber, 16)
      }
      expect(await serial()).toBe(1001)
      const open = await openSession(url.replace('sslmode=require', 'sslmode=no-verify'))
      await lab.interrupt()
      await authority.issue(1002)
      await lab.start()
      expect(lab.output).toContain('renewed certificate')
      await expect.poll(serial, { timeout: 10_000 }).toBe(1002)
      expect((await open.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
      await open.end()
      const reset = await lab.fetch('/clone/secured/reset?wait=60', { method: 'POST', json: {} })
      expect(await reset.json()).toMatchObject({ status: { code: 'OK' } })
      expect(await psql({ sslmode: 'verify-full', sslrootcert: authority.caFile })).toBe('t')
    })

    test('does not start with a key that is not that of the certificate', async () => {
      await lab.interrupt()
      await execute('openssl', ['genrsa', '-out', authority.keyFile, '2048'])
      expect(await lab.run(['start'])).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('clones.tls: the certificate'),
      })
    })
  },
)
