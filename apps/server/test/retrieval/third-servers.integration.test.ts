import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { describe, expect, test } from 'vitest'
import { DUMP_PASSWORD, LiveSource } from './live-source.ts'
import { FILL } from './load.ts'
import { done, inClone, labOf, lacking, logical, needSource } from './world.ts'

/** Something that listens, and whom nobody is to call. */
async function listener(): Promise<{ port: number; calls: () => number; server: Server }> {
  let calls = 0
  const server = createServer((socket) => {
    calls++
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it has no port')
  return { port: address.port, calls: () => calls, server }
}

describe.skipIf(lacking !== '')(`data that reads from other servers${lacking}`, () => {
  test('is restored without a connection to them, and without their passwords', async () => {
    await using live = await LiveSource.make(needSource())
    const third = await listener()
    await live.query('postgres', `ALTER ROLE postgres PASSWORD '${DUMP_PASSWORD.replaceAll("'", "''")}'`)
    await live.query('postgres', 'CREATE DATABASE shop')
    await live.query(
      'shop',
      ...FILL,
      'CREATE EXTENSION postgres_fdw',
      `CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '${live.socketDir}', port '${live.port}', dbname 'shop')`,
      `CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'postgres', password 'of production')`,
      `CREATE FOREIGN TABLE remote (id int, owner text) SERVER far OPTIONS (table_name 'accounts')`,
      'CREATE VIEW between AS SELECT * FROM remote',
      'CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM between',
      'CREATE MATERIALIZED VIEW own AS SELECT count(*)::int AS n FROM accounts',
      'CREATE INDEX ON totals (n)',
      `ALTER SERVER far OPTIONS (SET host '127.0.0.1', SET port '${third.port}')`,
    )
    await using lab = await labOf({ attempts: 1, sources: [logical(live.url('shop', 'postgres'))] })
    await lab.start()
    const { log } = await done(lab)
    expect(third.calls()).toBe(0)
    const messages = log.map(({ message }) => message)
    expect(messages).toContain('"shop": removed: user mapping of public for far')
    expect(messages).toContain('"shop": left empty, since it reads foreign tables: the materialized view public.totals')
    await inClone(lab, 'shop', async (client) => {
      expect((await client.query('SELECT n FROM own')).rows).toEqual([{ n: 20_000 }])
      expect((await client.query('SELECT FROM pg_user_mappings')).rowCount).toBe(0)
      await expect(client.query('SELECT FROM totals')).rejects.toThrow(/has not been populated/)
    })
    third.server.close()
  })
})
