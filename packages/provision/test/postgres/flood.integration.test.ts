import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Instance } from '../../src/postgres/index.ts'
import { asUser, giveUser, labQuery, labScript, oneForAll, preparedTemplate, type Template } from './cluster.ts'
import { makeWorld } from './world.ts'

/** Roles as a careless source has them: what they log is all there is. */
const CAREFREE = `
  create role app;
  alter role app set log_min_messages = 'debug5';
  alter role app set log_statement = 'all';
  alter role app in database postgres set log_min_messages = 'debug1';
  alter role app in database postgres set log_error_verbosity = 'verbose';
  alter role app in database postgres set work_mem = '8MB';
  alter role dblab in database postgres set log_min_messages = 'info';
  alter database postgres set log_statement = 'all';
  alter database postgres set log_min_messages = 'debug1'`

let template: Template
beforeAll(async () => {
  template = await preparedTemplate({}, (instance) => labScript(instance, CAREFREE))
})
afterAll(() => template[Symbol.asyncDispose]())

async function open(settings: Record<string, string> = {}) {
  const world = await makeWorld()
  const users = ['ann', 'app']
  const instance = await world.runtime.start(
    await world.spec('clone', await world.copyOf(template.dataDir, 'data'), { users, settings }),
  )
  for (const username of users) await giveUser(instance, username)
  return { world, instance, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

const shared = oneForAll(() => open())

/** What a hundred refused logins may leave; each of the attempts below would leave more. */
const SMALL_BYTES = 20_000

async function growth(instance: Instance, work: () => Promise<unknown>): Promise<number> {
  const before = (await stat(instance.logFile)).size
  await work()
  return (await stat(instance.logFile)).size - before
}

const long = 'x'.repeat(200_000)

describe.each(['ann', 'app'])('the log of a clone whose user is %s', (user) => {
  test.each([
    ['messages', `do $$ begin for i in 1..10 loop raise log '%', repeat('x', 100000); end loop; end $$`],
    ['warnings', `do $$ begin for i in 1..10 loop raise warning '%', repeat('x', 100000); end loop; end $$`],
    ['errors of long statements', `select 1/0 as "${long}"`],
    ['plans', `set debug_print_plan = on; set debug_print_parse = on; set debug_pretty_print = on; select '${long}'`],
    ['sorts', 'set trace_sort = on; select count(*) from (select i from generate_series(1, 100000) i order by -i) s'],
    [
      'errors that end the session',
      `set exit_on_error = on; do $$ begin raise exception '%', repeat('x', 1000000); end $$`,
    ],
    [
      'the end of a session within a long statement',
      `do $$ begin execute 'select pg_terminate_backend(pg_backend_pid()), pg_sleep(1), $q$${long}$q$'; end $$`,
    ],
  ])('takes no %s', async (_what, sql) => {
    const clone = await shared()
    const bytes = await growth(clone.instance, async () => {
      const attempt = asUser(clone.instance, { user }, (query) => query(sql))
      await attempt.catch((error: unknown) =>
        expect(error).toHaveProperty('code', expect.stringMatching(/^(22012|57P01|P0001)$/)),
      )
    })
    expect(bytes).toBeLessThan(SMALL_BYTES)
  })

  test.each([
    'set log_min_messages = debug5',
    `select set_config('log_statement', 'all', false)`,
    `select set_config('log_error_verbosity', 'verbose', false)`,
    'alter role CURRENT_USER set log_min_messages = debug5',
    'alter role CURRENT_USER reset log_min_messages',
    `alter role CURRENT_USER in database postgres set log_min_messages = 'log'`,
    `alter database postgres set log_min_messages = 'log'`,
    `create function loud() returns void language sql set log_min_messages = 'log' as ''`,
  ])('is not opened by: %s', async (sql) => {
    const clone = await shared()
    await expect(asUser(clone.instance, { user }, (query) => query(sql))).rejects.toMatchObject({ code: '42501' })
  })

  test('stays closed when everything is reset', async () => {
    const clone = await shared()
    await asUser(clone.instance, { user }, (query) => query('alter role CURRENT_USER reset all'))
    await asUser(clone.instance, { user }, async (query) => {
      for (const statement of ['discard all', 'reset all', 'set role dblab_owner', 'reset session authorization'])
        await query(statement)
      const settings = ['log_min_messages', 'log_min_error_statement', 'log_error_verbosity']
      const seen = settings.map(async (name) => Object.values((await query(`show ${name}`))[0] as object))
      expect((await Promise.all(seen)).flat()).toEqual(['panic', 'panic', 'terse'])
    })
  })
})

test('the log takes nothing that autovacuum meets in the functions of a user', async () => {
  await using clone = await open({ autovacuum_naptime: '1s' })
  const { instance } = clone
  const bytes = await growth(instance, async () => {
    await asUser(instance, { user: 'ann' }, async (query) => {
      for (const statement of [
        'create table seen (id int) with (autovacuum_analyze_threshold = 1, autovacuum_analyze_scale_factor = 0)',
        `create function loud(id int) returns int immutable language plpgsql
         as $$ begin raise log '%', repeat('x', 100000); return id; end $$`,
        'create index on seen (loud(id))',
        'insert into seen select generate_series(1, 100)',
      ])
        await query(statement)
    })
    const analysed = `select 1 from pg_stat_user_tables where relname = 'seen' and last_autoanalyze is not null`
    await expect.poll(() => labQuery(instance, analysed), { timeout: 60_000, interval: 500 }).toHaveLength(1)
    await sleep(100)
  })
  expect(bytes).toBeLessThan(SMALL_BYTES)
})

test('only what would open the log is taken from the settings that the data has for roles in databases', async () => {
  const clone = await shared()
  const rows = await labQuery(
    clone.instance,
    `select setrole::regrole::text as role, setconfig as settings from pg_db_role_setting where setdatabase <> 0 and setrole <> 0`,
  )
  expect(rows).toEqual([{ role: 'app', settings: ['work_mem=8MB'] }])
})
