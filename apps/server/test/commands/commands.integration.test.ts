import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { Agent, get } from 'node:https'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { openSession, query } from '../support/sql.ts'

const execute = promisify(execFile)

describe('the commands', { timeout: 180_000 }, () => {
  const driver = isRoot ? 'btrfs' : 'copy'

  test('Ctrl-C leaves the clones and their sessions; a second start is up in seconds and finds them', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    const url = urlOf(await createClone(lab, { id: 'kept' }))
    const session = await openSession(url)
    await lab.interrupt()
    expect((await session.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    const started = Date.now()
    await lab.start()
    expect(Date.now() - started).toBeLessThan(15_000)
    expect((await lab.fetch('/clone/kept')).status).toBe(200)
    expect((await session.query('SELECT 2 AS two')).rows).toEqual([{ two: 2 }])
    await session.end()
  })

  test('stop stops the clones too, and gives the pool back; a start brings them back with their data', async () => {
    await using lab = await TestLab.make({ driver })
    await lab.start()
    const url = urlOf(await createClone(lab, { id: 'stopped' }))
    await query(url, 'CREATE TABLE mine AS SELECT 42 AS answer')
    const { code, stdout } = await lab.run(['stop'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('1 Postgres server with it') })
    expect(await leftovers(lab.directory)).toMatchObject({ servers: [], mounts: [], loops: [] })
    await lab.start()
    await eventually('it answers', () =>
      query(url, 'SELECT answer FROM mine').then(
        (rows) => rows[0]?.answer === 42,
        () => false,
      ),
    )
  })

  test('destroy removes all that the lab made and nothing else, but not without being told to', async () => {
    const lab = await TestLab.make({ driver })
    await lab.start()
    const url = urlOf(await createClone(lab, { id: 'doomed' }))
    await writeFile(join(lab.directory, '.dblab', 'mine.txt'), "not the lab's")
    await writeFile(join(lab.directory, '.dblab', 'audit.db-damaged-1'), 'put aside by the lab')
    const asked = await lab.run(['destroy'])
    expect({ code: asked.code, stdout: asked.stdout }).toEqual({ code: 1, stdout: expect.stringContaining('--yes') })
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    const done = await lab.run(['destroy', '--yes'])
    expect(done).toMatchObject({ code: 0, stdout: expect.stringContaining('mine.txt') })
    expect(await leftovers(lab.directory)).toMatchObject({ servers: [], mounts: [], loops: [] })
    expect(await readdir(join(lab.directory, '.dblab'))).toEqual(['mine.txt'])
    expect(await lab.run(['destroy', '--yes'])).toMatchObject({ code: 0, stdout: expect.stringContaining('no lab') })
    await lab[Symbol.asyncDispose]()
  })

  test('destroy leaves no pool of a lab whose first start was killed as it made one', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    const DBLAB_FAULTS = JSON.stringify({ faults: [{ point: 'storage.root-made', action: 'kill' }] })
    expect(await lab.run(['start'], { env: { DBLAB_FAULTS } })).toMatchObject({ code: -1 })
    expect(await readdir(join(lab.directory, '.dblab'))).toContain('pool')
    await lab.start()
    await lab.interrupt()
    expect(await lab.run(['destroy', '--yes'])).toMatchObject({ code: 0 })
    expect(await readdir(lab.directory)).not.toContain('.dblab')
  })

  test('a second server of the same lab is refused, and says where the first one is', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    const second = await lab.run(['start'])
    expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining(lab.url) })
    expect((await lab.fetch('/healthz', { token: null })).status).toBe(200)
  })

  test('a wrong configuration is refused with the key, the problem and the line, and changes nothing', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    const file = join(lab.directory, 'dblab.yaml')
    const good = await readFile(file, 'utf8')
    const wrong = [
      ['port: none', /dblab\.yaml:1: port: /],
      ['storage:\n  driver: magic', /dblab\.yaml:2: storage\.driver: .*zfs/],
      ['storage:\n  drivr: zfs', /dblab\.yaml:2: storage\.drivr: there is no such key/],
      [
        'postgres:\n  settings:\n    fsync: off\n    port: 1',
        /dblab\.yaml:4: postgres\.settings\.port: the setting port is the lab's own/,
      ],
      ['a: [', /is no YAML/],
      ['- 1', /must be a map/],
      ['port: 70000', /dblab\.yaml:1: port: must be at most 65535\n/],
      ['port: 1.5', /dblab\.yaml:1: port: must be a whole number\n/],
      ['host: ""', /dblab\.yaml:1: host: must not be empty\n/],
      ['clones: 5', /dblab\.yaml:1: clones: must be a map of keys\n/],
      ['bodyLimit: [1]', /dblab\.yaml:1: bodyLimit: must be bytes, such as 20GB/],
      ['tls: {certFile: cert.pem}', /dblab\.yaml:1: tls\.keyFile: is missing\n/],
      ['clones:\n  portTo: 1000', /dblab\.yaml:2: clones\.portTo: must not be below clones\.portFrom\n/],
      ['storage: {lowFreePercent: 3}', /dblab\.yaml:1: storage\.criticalFreePercent: must not be above/],
    ] as const
    for (const [text, message] of wrong) {
      await writeFile(file, text)
      const { code, stderr } = await lab.run(['start'], { timeoutMs: 20_000 })
      expect(stderr).toMatch(message)
      expect(code).toBe(1)
      expect(existsSync(join(lab.directory, '.dblab'))).toBe(false)
    }
    await writeFile(file, good)
  })

  test('a setting that Postgres does not take is refused before anything is touched, on a new lab and on an old one', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    const file = join(lab.directory, 'dblab.yaml')
    const good = await readFile(file, 'utf8')
    const refused = {
      code: 1,
      stderr: expect.stringMatching(/postgres\.settings: PostgreSQL \d+ does not take the settings: .*"no_such"/),
    }
    const bad = good.replace('postgres: {}', 'postgres: {settings: {no_such: 1}}')
    expect(bad).not.toBe(good)
    await writeFile(file, bad)
    expect(await lab.run(['start'])).toMatchObject(refused)
    await writeFile(file, good)
    await lab.start()
    const url = urlOf(await createClone(lab, { id: 'kept' }))
    const session = await openSession(url)
    await lab.interrupt()
    await writeFile(file, bad)
    expect(await lab.run(['start'])).toMatchObject(refused)
    expect((await session.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await session.end()
    await writeFile(file, good)
  })

  test('keeps its secrets in files that only its account can read', async () => {
    await using lab = await TestLab.make({ driver: 'copy', env: { DBLAB_TOKEN: '' } })
    await lab.start()
    const data = join(lab.directory, '.dblab')
    for (const name of ['token', 'catalogue.db', 'catalogue.db-wal', 'lab.json']) {
      expect((await stat(join(data, name))).mode & 0o077, name).toBe(0)
    }
    const token = (await lab.readDataFile('token')).trim()
    expect((await lab.fetch('/status', { token })).status).toBe(200)
    expect((await lab.fetch('/status', { headers: { 'Verification-Token': token }, token: null })).status).toBe(200)
    expect((await lab.fetch('/status')).status).toBe(401)
  })

  test('answers HTTPS when it has a certificate', async () => {
    await using lab = await TestLab.make({
      driver: 'copy',
      config: { tls: { certFile: 'cert.pem', keyFile: 'key.pem' } },
    })
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
    const files = ['-keyout', join(lab.directory, 'key.pem'), '-out', join(lab.directory, 'cert.pem')]
    await execute('openssl', [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      ...subject,
      ...files,
    ])
    await lab.start()
    const ca = await readFile(join(lab.directory, 'cert.pem'))
    const agent = new Agent({ ca })
    const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
      get(`${lab.url.replace('http:', 'https:')}/healthz`, { agent }, (response) => {
        response.resume()
        resolve(response.headers)
      }).on('error', reject)
    })
    expect(headers['strict-transport-security']).toMatch(/max-age/)
    agent.destroy()
  })
})
