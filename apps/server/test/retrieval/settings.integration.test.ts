import { describe, expect, test } from 'vitest'
import { LiveSource } from './live-source.ts'
import { FILL } from './load.ts'
import { done, inClone, labOf, lacking, logical, needSource, physical } from './world.ts'

async function source(): Promise<LiveSource> {
  const live = await LiveSource.make(needSource())
  await live.query('postgres', 'ALTER ROLE dump REPLICATION', 'CREATE ROLE bob', 'CREATE DATABASE shop')
  await live.query(
    'shop',
    ...FILL,
    'ALTER TABLE accounts OWNER TO bob',
    `ALTER DATABASE shop SET app.jwt_secret = 'of production'`,
    `ALTER DATABASE shop SET work_mem = '8MB'`,
    `ALTER ROLE bob IN DATABASE shop SET app.token = 'of production'`,
    'ALTER ROLE bob IN DATABASE shop SET random_page_cost = 2',
    'ALTER ROLE bob SET cpu_tuple_cost = 0.02',
  )
  return live
}

describe.skipIf(lacking !== '')(`settings of the data's databases and roles${lacking}`, () => {
  test.each([
    ['logical', logical],
    ['physical', physical],
  ])('are not there for clones where they may be secrets: %s', async (_kind, kind) => {
    await using live = await source()
    await using lab = await labOf({ sources: [kind(live.url('shop'))] })
    await lab.start()
    const { log } = await done(lab)
    const messages = log.map(({ message }) => message)
    expect(messages).toContainEqual(
      expect.stringMatching(/^settings of DATABASE shop that were reset: .*app\.jwt_secret/),
    )
    expect(messages).toContain('settings of ROLE bob IN DATABASE shop that were reset: app.token')
    expect(messages.join()).not.toContain('of production')
    await inClone(lab, 'shop', async (client) => {
      const { rows } = await client.query(
        `SELECT current_setting('app.jwt_secret', true) AS secret, current_setting('work_mem') AS memory,
           (SELECT count(*)::int FROM pg_db_role_setting s WHERE s::text LIKE '%of production%') AS others`,
      )
      expect(rows).toEqual([{ secret: null, memory: '8MB', others: 0 }])
    })
  })

  test.each([
    ['logical', logical, []],
    ['physical', physical, ['cpu_tuple_cost=0.02']],
  ])('come with the database, and those of a role everywhere with all of its cluster: %s', async (_kind, kind, own) => {
    await using live = await source()
    await using lab = await labOf({ sources: [kind(live.url('shop'))] })
    await lab.start()
    await done(lab)
    const { rows } = await inClone(lab, 'shop', (client) =>
      client.query<{ setting: string }>(
        `SELECT unnest(setconfig) AS setting FROM pg_db_role_setting WHERE setrole = 'bob'::regrole ORDER BY setdatabase = 0, 1`,
      ),
    )
    expect(rows.map(({ setting }) => setting)).toEqual(['random_page_cost=2', ...own])
  })

  test('stay where the configuration says so', async () => {
    await using live = await source()
    await using lab = await labOf({ keepSettings: true, sources: [logical(live.url('shop'))] })
    await lab.start()
    await done(lab)
    const shown = await inClone(lab, 'shop', (client) => client.query('SHOW app.jwt_secret'))
    expect(shown.rows).toEqual([{ 'app.jwt_secret': 'of production' }])
  })
})
