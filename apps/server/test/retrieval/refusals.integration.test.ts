import { once } from 'node:events'
import { chmod, chown, mkdir } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { binDirOf } from '../support/majors.ts'
import { Authority } from '../tls/authority.ts'
import { FarNetwork, lackingNetworks } from './far-network.ts'
import { DUMP_PASSWORD, LiveSource } from './live-source.ts'
import { FILL } from './load.ts'
import { ended, labOf, lacking, logical, needSource } from './world.ts'

/** A password that is not taken, and must not be told. */
const CANARY = 'canary-2f6a'

describe.skipIf(lacking !== '')(`a source that can't be read is refused at the start${lacking}`, () => {
  let live: LiveSource
  let lab: TestLab
  let authorities: { right: Authority; wrong: Authority }

  beforeAll(async () => {
    live = await LiveSource.make(needSource())
    await live.query('postgres', 'CREATE DATABASE shop')
    await live.query('shop', ...FILL)
    authorities = { right: await authority('right'), wrong: await authority('wrong') }
    lab = await TestLab.make({ driver: 'copy', config: { storage: { driver: 'copy' } } })
  })

  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]()
    await live?.[Symbol.asyncDispose]()
  })

  async function authority(name: string): Promise<Authority> {
    const directory = join(live.directory, name)
    await mkdir(directory)
    const made = new Authority(directory)
    await made.found()
    await made.issue(1)
    return made
  }

  /** What a person reads who names this source at the terminal. Nothing has been made then. */
  async function refusal(url: string, env: Record<string, string> = { PGPASSWORD: DUMP_PASSWORD }): Promise<string> {
    const { code, stdout, stderr } = await lab.run(['start', '--source', url], { timeoutMs: 60_000, env })
    expect(code, stderr).toBe(1)
    expect(stdout + stderr).not.toContain(CANARY)
    expect(stdout + stderr).not.toContain(DUMP_PASSWORD)
    expect(await leftovers(lab.directory)).toMatchObject({ volumes: [], snapshots: [], servers: [] })
    // The last words, without those of the log.
    return stderr
      .split('\n')
      .filter((line) => !/^\S+Z? (info|debug|warn) /.test(line))
      .join('\n')
  }

  /** Does something to the source, asks, and takes it back. */
  async function refusalWith(
    database: string,
    [doIt, undo]: [string, string],
    url = live.url('shop'),
  ): Promise<string> {
    await live.query(database, doIt)
    try {
      return await refusal(url)
    } finally {
      await live.query(database, undo)
    }
  }

  test('for a wrong password', async () => {
    expect(await refusal(live.url('shop'), { PGPASSWORD: CANARY })).toMatch(/does not take the password.*PGPASSWORD/s)
  })

  test('for a password that is missing', async () => {
    expect(await refusal(live.url('shop'), {})).toMatch(/asks for a password, and none is configured.*PGPASSWORD/s)
  })

  test('for a password in its address, which is not told', async () => {
    expect(await refusal(live.url('shop').replace('dump@', `dump:${CANARY}@`))).toMatch(/--source: .*holds a password/s)
  })

  test('for a database that is not there', async () => {
    expect(await refusal(live.url('nothing'))).toMatch(/has no database "nothing"/)
  })

  test('for a database that the role may not enter, with what to run', async () => {
    const told = await refusalWith('postgres', [
      'REVOKE CONNECT ON DATABASE shop FROM PUBLIC',
      'GRANT CONNECT ON DATABASE shop TO PUBLIC',
    ])
    expect(told).toContain('GRANT CONNECT ON DATABASE "shop" TO "dump"')
  })

  test('for tables that the role may not read, with what to run', async () => {
    const told = await refusalWith('shop', ['REVOKE pg_read_all_data FROM dump', 'GRANT pg_read_all_data TO dump'])
    expect(told).toContain('may not read 3 tables or sequences of "shop": public.accounts, public.entries')
    expect(told).toContain('GRANT pg_read_all_data TO "dump"')
  })

  test('for rows that are hidden from the role, with what to run', async () => {
    const told = await refusalWith('shop', [
      'ALTER TABLE accounts ENABLE ROW LEVEL SECURITY',
      'ALTER TABLE accounts DISABLE ROW LEVEL SECURITY',
    ])
    expect(told).toMatch(/row security hides rows of "shop" from the role: public\.accounts/)
    expect(told).toContain('ALTER ROLE "dump" BYPASSRLS')
  })

  test('for a locale that this machine lacks, with what makes it', async () => {
    await live.query('shop', `CREATE COLLATION far (LOCALE = 'C')`)
    const to = (locale: string) =>
      `UPDATE pg_collation SET collcollate = '${locale}', collctype = '${locale}' WHERE collname = 'far'`
    const told = await refusalWith('shop', [to('tlh_QO.UTF-8'), to('C')])
    expect(told).toMatch(/sorts by a locale that this machine lacks: tlh_QO\.UTF-8/)
    expect(told).toMatch(/localedef .*tlh_QO\.UTF-8.*anyLocale/s)
  })

  test('for an address at which nothing listens', async () => {
    expect(await refusal('postgresql://dump@127.0.0.1:1/shop')).toMatch(/nothing listens at .*127\.0\.0\.1:1/)
  })

  test('for a host that there is not', async () => {
    expect(await refusal('postgresql://dump@nowhere.invalid/shop')).toMatch(/no host of the name|can't be reached/)
  })

  test.skipIf(lackingNetworks !== '')(`for a host to which there is no way${lackingNetworks}`, async () => {
    await using network = await FarNetwork.make()
    await network.cut()
    expect(await refusal(`postgresql://dump@${network.host}/shop`)).toMatch(
      /does not answer.*firewall|can't be reached.*is there a way to it/s,
    )
  })

  test('for a source that takes no more connections', async () => {
    await live.query('postgres', 'ALTER ROLE dump CONNECTION LIMIT 0')
    expect(await refusal(live.url('shop'))).toMatch(/refused the connection: too many connections for role/)
    await live.query('postgres', 'ALTER ROLE dump CONNECTION LIMIT -1')
  })

  test('for a pooler, which refuses what the lab says of itself', async () => {
    await using pooler = await refusing('unsupported startup parameter: options')
    expect(await refusal(`postgresql://dump@127.0.0.1:${pooler.port}/shop`)).toMatch(
      /is a pooler.*Name the address of PostgreSQL itself/s,
    )
  })

  test('for TLS that it lacks, and for a certificate of an authority that is not believed', async () => {
    expect(await refusal(`${live.url('shop')}?sslmode=require`)).toMatch(/has no TLS, and sslmode=require asks for it/)
    const { right, wrong } = authorities
    for (const file of [right.certFile, right.keyFile]) await chown(file, live.account.uid, live.account.gid)
    await chmod(right.keyFile, 0o600)
    await live.query(
      'postgres',
      `ALTER SYSTEM SET ssl_cert_file = '${right.certFile}'`,
      `ALTER SYSTEM SET ssl_key_file = '${right.keyFile}'`,
      'ALTER SYSTEM SET ssl = on',
      'SELECT pg_reload_conf()',
    )
    const asked = (mode: string, by: Authority) => `${live.url('shop')}?sslmode=${mode}&sslrootcert=${by.caFile}`
    expect(await refusal(asked('verify-full', wrong))).toMatch(/certificate of .* is not believed.*sslrootcert/s)
    expect(await refusal(asked('verify-ca', wrong))).toMatch(/is not believed/)
    await using secure = await labOf({ sources: [logical(asked('verify-full', right))] })
    await secure.start()
    expect(await ended(secure)).toMatchObject({ outcome: 'DONE' })
  })

  test("for a version that is newer than the lab's", async () => {
    const binDir = binDirOf({ version: 18, source: 'embedded' })
    const older = binDirOf({ version: 15, source: 'system' })
    if (binDir === undefined || older === undefined) throw new Error('both versions are needed')
    await using newer = await LiveSource.make({ ...needSource(), binDir, version: '18', major: 18, source: 'embedded' })
    await using lab15 = await labOf(
      { sources: [logical(newer.url('postgres'))] },
      { postgres: { version: 15, binDir: older } },
    )
    await lab15.start()
    const { error, progress } = await ended(lab15)
    expect(progress.step).toBe('CHECK')
    expect(error).toMatchObject({ code: 'INVALID', message: expect.stringContaining("newer than the lab's 15") })
  })

  test("for extensions that the lab's PostgreSQL lacks", async () => {
    // PostgreSQL 17 has dropped it.
    await live.query('shop', 'CREATE EXTENSION adminpack')
    await using lacks = await labOf({ sources: [logical(live.url('shop'))] })
    await lacks.start()
    const { error } = await ended(lacks)
    expect(error).toMatchObject({ code: 'INVALID', message: expect.stringContaining('lacks: adminpack') })
    expect(error?.hint).toContain('postgres.binDir')
    expect((await leftovers(lacks.directory)).volumes).toEqual([])
    await live.query('shop', 'DROP EXTENSION adminpack')
  })
})

/** Answers the first that is said to it with an error in the form of PostgreSQL's, after it has refused TLS. */
async function refusing(message: string): Promise<AsyncDisposable & { port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      // Terminate; SSLRequest: https://www.postgresql.org/docs/current/protocol-message-formats.html
      if (data[0] === 0x58) return socket.end()
      if (data.readInt32BE(4) === 80_877_103) return socket.write('N')
      const fields = Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`)
      const head = Buffer.from([0x45, 0, 0, 0, 0])
      head.writeInt32BE(fields.length + 4, 1)
      return socket.end(Buffer.concat([head, fields]))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}
