import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TestLab } from '../support/lab.ts'
import { LiveSource } from './live-source.ts'
import { checksums, ended, inClone, labOf, lacking, logical, needSource } from './world.ts'

/** Of one lab, which is brought in anew by each choice. */
describe.skipIf(lacking !== '')(`a choice of a database${lacking}`, () => {
  let live: LiveSource

  beforeAll(async () => {
    live = await LiveSource.make(needSource())
    await live.query('postgres', 'CREATE DATABASE shop')
    await live.query(
      'shop',
      'CREATE SCHEMA sales; CREATE SCHEMA other; CREATE SCHEMA helpers',
      'CREATE EXTENSION citext WITH SCHEMA helpers',
      `CREATE TYPE other.mood AS ENUM ('fine')`,
      'CREATE TABLE users (id int PRIMARY KEY, boss int REFERENCES users)',
      'CREATE TABLE days (id int PRIMARY KEY) PARTITION BY RANGE (id)',
      'CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (10)',
      'CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (10) TO (20)',
      'CREATE TABLE orders (id int PRIMARY KEY, u int REFERENCES users, day int REFERENCES days)',
      'CREATE TABLE items (o int REFERENCES orders, u int REFERENCES users)',
      'CREATE TABLE sales.lines (name helpers.citext, total int)',
      'CREATE TABLE sales.feelings (mood other.mood[])',
      'CREATE TABLE sales.numbered (id serial PRIMARY KEY, tags helpers.citext[])',
      `COMMENT ON CONSTRAINT orders_u_fkey ON orders IS 'of whom'`,
      'CREATE TABLE other.counted (id serial PRIMARY KEY)',
      'CREATE VIEW sales.buyers AS SELECT u FROM orders',
      'CREATE FUNCTION sales.first() RETURNS public.orders LANGUAGE sql AS $$ SELECT * FROM public.orders LIMIT 1 $$',
      'INSERT INTO users VALUES (1, NULL), (2, 1)',
      'INSERT INTO days VALUES (1), (11)',
      'INSERT INTO orders VALUES (1, 1, 1), (2, 2, 11)',
      'INSERT INTO items VALUES (1, 2)',
      `INSERT INTO sales.lines VALUES ('A', 1)`,
    )
  })
  afterAll(async () => live[Symbol.asyncDispose]())

  async function bring(
    choice: Record<string, unknown>,
  ): Promise<{ run: Awaited<ReturnType<typeof ended>>; lab: TestLab }> {
    const lab = await labOf({ sources: [logical(live.url('shop'), choice)] })
    await lab.start()
    return { run: await ended(lab), lab }
  }

  const keysOf = (lab: TestLab) =>
    inClone(lab, 'shop', async (client) => {
      const { rows } = await client.query<{ key: string }>(
        `SELECT conrelid::regclass || '.' || conname AS key FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 ORDER BY 1`,
      )
      return rows.map(({ key }) => key)
    })

  test.each([
    {
      choice: { schemas: ['public'], excludeTables: ['users'] },
      left: ['items.items_u_fkey', 'orders.orders_u_fkey'],
    },
    { choice: { tables: ['orders'] }, left: ['orders.orders_day_fkey', 'orders.orders_u_fkey'] },
    // It has no rows either, so that its own one holds.
    {
      choice: { schemas: ['public'], excludeTableData: ['users'] },
      left: ['items.items_u_fkey', 'orders.orders_u_fkey'],
    },
    { choice: { schemas: ['public'], excludeTableData: ['days_2'] }, left: ['orders.orders_day_fkey'] },
    { choice: { schemas: ['public'], excludeTableData: ['orders', 'items', 'users', 'days*'] }, left: [] },
  ])('comes without the foreign keys that would not hold in it: %j', async ({ choice, left }) => {
    const { run, lab } = await bring(choice)
    await using _lab = lab
    expect([run.outcome, run.error]).toEqual(['DONE', undefined])
    const told = run.log.map(({ message }) => message).filter((message) => message.includes('the foreign key'))
    expect(
      told
        .map((message) => /the foreign key (\S+) of public\.(\S+)$/.exec(message))
        .map((found) => `${found?.[2]}.${found?.[1]}`),
    ).toEqual(left)
    const keys = await keysOf(lab)
    expect(keys.filter((key) => left.includes(key))).toEqual([])
    const tables = Object.keys(await inClone(lab, 'shop', checksums))
    if (tables.includes('public.users')) expect(keys).toContain('users.users_boss_fkey')
  })

  test('comes with the extensions that its tables are made of', async () => {
    const { run, lab } = await bring({ schemas: ['helpers', 'public'] })
    await using _lab = lab
    expect([run.outcome, run.error]).toEqual(['DONE', undefined])
    const extensions = await inClone(lab, 'shop', (client) =>
      client.query(`SELECT FROM pg_extension WHERE extname = 'citext'`),
    )
    expect(extensions.rowCount).toBe(1)
  })

  test('comes with the sequences of its tables, and with their schemas', async () => {
    const { run, lab } = await bring({ tables: ['other.counted'] })
    await using _lab = lab
    expect([run.outcome, run.error]).toEqual(['DONE', undefined])
    const next = await inClone(lab, 'shop', (client) =>
      client.query('INSERT INTO other.counted DEFAULT VALUES RETURNING id'),
    )
    expect(next.rows).toEqual([{ id: 1 }])
  })

  test.each([
    [{ tables: ['sales.feelings'] }, /"other" does not exist/],
    [{ tables: ['sales.lines'] }, /"helpers" does not exist/],
    [{ schemas: ['sales'] }, /does not exist/],
    [{ excludeSchemas: ['other'] }, /"other" does not exist/],
    [{ excludeTables: ['orders', 'items'] }, /orders" does not exist/],
    // Of a table that is not chosen.
    [{ schemas: ['public'], excludeTables: ['days', 'orders', 'items'] }, /"public.days" does not exist/],
  ])('is refused before rows are read where it needs what is not chosen: %j', async (choice, message) => {
    const { run, lab } = await bring(choice)
    await using _lab = lab
    expect(run).toMatchObject({ outcome: 'FAILED', progress: { step: 'CHECK' } })
    expect(run.error).toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/^what is chosen of "shop" could not be restored: /),
      hint: expect.stringContaining('excludeTables'),
    })
    expect(run.error?.message).toMatch(message)
  })

  test('is refused where it leaves out the schema of an extension', async () => {
    const { run, lab } = await bring({ excludeSchemas: ['helpers'] })
    await using _lab = lab
    expect(run.error?.message).toBe('the extension citext of "shop" needs the schema helpers, which is left out')
  })
})
