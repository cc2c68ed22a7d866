import { describe, expect, test } from 'vitest'
import { isShutDownCleanly, labSettings, probeLogin } from '../../src/postgres/index.ts'
import { npmBinaries } from '../../testbed/index.ts'
import { asUser, cloneWithUser, PASSWORD, preparedTemplate } from './cluster.ts'
import { fillAsImport } from './production.ts'
import { makeWorld } from './world.ts'

describe.each([14, 15, 16, 17] as const)('PostgreSQL %i', (major) => {
  const directory = npmBinaries(major)

  test.skipIf(directory === undefined)('initialises, hands over what an import brought, and takes a user', async () => {
    await using template = await preparedTemplate({ configured: [directory ?? ''] }, fillAsImport)
    const { world, dataDir } = template
    expect(await world.binaries()).toMatchObject({ major, source: 'configured' })
    expect(await isShutDownCleanly(dataDir)).toBe(true)
    const names = ['/.*', 'all', '+ann']
    for (const username of names) {
      const instance = await cloneWithUser(world, dataDir, username, 'clone')
      const target = { host: '127.0.0.1', port: instance.port, database: 'postgres', username }
      await probeLogin({ ...target, password: PASSWORD })
      const facts = await asUser(instance, { user: username }, async (query) => {
        await query('alter table sales.orders add column if not exists note text')
        const reaching = `select 1 from pg_proc where probin ~ 'dblink|adminpack' and has_function_privilege(oid, 'execute')`
        expect(await query(reaching)).toEqual([])
        return query(`select current_setting('server_version_num')::int / 10000 as major, session_user::text as name`)
      })
      expect(facts).toEqual([{ major, name: username }])
      const trap = asUser(instance, { user: username, database: 'template1' }, (query) =>
        query('create table public.trap (a int)'),
      )
      await expect(trap).rejects.toMatchObject({ code: '42501' })
      const shadow = `shadow of ${username}`
      await asUser(instance, { user: username }, (query) => query(`create database "${shadow}"`))
      await asUser(instance, { user: username, database: shadow }, (query) => query('create table public.own (a int)'))
      await expect(asUser(instance, { user: 'app' }, async () => undefined)).rejects.toMatchObject({ code: '28000' })
      await world.runtime.stop('clone', 'clean')
    }
    expect(labSettings(major)).not.toHaveProperty('io_method')
  })
})

test('a cluster says itself which programs it needs', async () => {
  const directory = npmBinaries(17)
  if (directory === undefined) return
  await using template = await preparedTemplate({ configured: [directory] })
  // This one's default is another major.
  await using world = await makeWorld()
  const dataDir = await world.copyOf(template.dataDir, 'data')
  const start = world.runtime.start(await world.spec('one', dataDir, { settings: {} }))
  await expect(start).rejects.toMatchObject({ code: 'UNAVAILABLE', hint: expect.stringContaining('postgresql-17') })
})
