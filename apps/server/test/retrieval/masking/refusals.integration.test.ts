import { describe, expect, test } from 'vitest'
import { startCluster } from '../cluster.ts'
import { majorsUnderTest, mask, maskableCluster, shopWith, type Written } from './world.ts'

const [, binaries] = await majorsUnderTest()

const source = [
  `create domain short as varchar(10) not null check (value <> 'forbidden')`,
  `create table person (
    id int primary key, email text unique, code varchar(8) unique, born date not null, name varchar(5), nick short,
    made text generated always as (name || '!') stored, size smallint unique, tags text[]
  )`,
  `insert into person (id, email, code, born, name, nick, size) values (1, 'a@corp.test', 'a', '2000-01-01', 'Anna', 'n', 1)`,
  'create view people as select * from person',
  'create materialized view known as select * from person',
  'create table visit (person int references person, code varchar(8) references person (code), size int references person (size), at date)',
  'create table log (at date, tenant text, what text) partition by list (lower(tenant))',
  `create table log_a partition of log for values in ('a')`,
]

const refused: readonly (readonly [string, Written, RegExp])[] = [
  [
    'null where the column is NOT NULL',
    { table: 'public.person', column: 'born', null: true },
    /person\.born is NOT NULL/,
  ],
  ['null where its domain is', { table: 'public.person', column: 'nick', null: true }, /person\.nick is NOT NULL/],
  [
    'a constant in a unique column',
    { table: 'public.person', column: 'email', constant: 'x' },
    /person\.email is unique/,
  ],
  [
    'a constant that is too long',
    { table: 'public.person', column: 'name', constant: 'Annabel' },
    /person\.name takes 5 characters/,
  ],
  ['a constant of another type', { table: 'public.person', column: 'born', constant: 'soon' }, /constant is no date/],
  [
    'a constant that its domain forbids',
    { table: 'public.person', column: 'nick', constant: 'forbidden' },
    /constant is no public\.short/,
  ],
  ['a hash of a date', { table: 'public.person', column: 'born', hash: true }, /person\.born is of type date/],
  [
    'a made-up name in an array',
    { table: 'public.person', column: 'tags', fake: 'name' },
    /person\.tags is of type text\[\]/,
  ],
  [
    'a made-up email address without room',
    { table: 'public.person', column: 'name', fake: 'email' },
    /room for 5 characters/,
  ],
  [
    'a hash without room to stay unique',
    { table: 'public.person', column: 'code', hash: true },
    /room for 8 characters/,
  ],
  ['a generated column', { table: 'public.person', column: 'made', hash: true }, /person\.made is generated/],
  ['a view', { table: 'public.people', column: 'email', hash: true }, /people\.email is of a view/],
  [
    'a materialized view',
    { table: 'public.known', column: 'email', hash: true },
    /known\.email is of a materialized view/,
  ],
  [
    'what an expression of the partition key holds',
    { table: 'public.log', column: 'tenant', hash: true },
    /log\.tenant decides which partition/,
  ],
  [
    'keys of which one is small',
    { table: 'public.visit', column: 'size', hash: true },
    /types are masked in different ways/,
  ],
  [
    'null in a column that others refer to',
    { table: 'public.person', column: 'code', null: true },
    /person\.code is what foreign keys refer to/,
  ],
  [
    'a table that is not there',
    { table: 'public.persons', column: 'email', hash: true },
    /match no column: .*rules\[0\] \(public\.persons\.email\)/,
  ],
  ['a column that is not there', { table: 'public.*', column: 'mail', hash: true }, /match no column/],
  ['another database', { database: 'shop2', table: 'public.*', column: 'email', hash: true }, /match no column/],
]

describe.skipIf(!binaries)('masking refuses', () => {
  test('rules that can not work, each by its name and before anything changes', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, source)
    const before = await cluster.query('shop', 'select xmin, * from public.person')
    for (const [what, rule, message] of refused) {
      await expect(mask(cluster, { rules: [rule] }), what).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringMatching(message),
        hint: expect.stringMatching(/./),
      })
    }
    const torn = [
      { table: 'public.person', column: 'id', hash: true },
      { table: 'public.visit', column: 'person', shuffle: true },
    ]
    await expect(mask(cluster, { rules: torn })).rejects.toMatchObject({
      message: expect.stringMatching(/visit\.person refers to a column that .*person\.id\) masks/),
    })
    const two = [
      { table: 'public.person', column: 'code', hash: true },
      { table: 'public.visit', column: 'code', fake: 'name' },
    ]
    await expect(mask(cluster, { rules: two })).rejects.toMatchObject({
      message: expect.stringContaining('in another way'),
    })
    expect(await cluster.query('shop', 'select xmin, * from public.person')).toEqual(before)
  })

  test('what breaks a constraint when it is tried, without a value', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, [
      'create table one (a int, b text, unique (a, b), constraint kept check (b is not null))',
      `insert into one values (1, 'secret-one'), (1, 'secret-two')`,
      'create table parent (id text primary key)',
      `insert into parent values ('secret-three')`,
      'create table child (parent text constraint to_parent references parent)',
      `insert into child values ('secret-three')`,
      `create function grumble(v text) returns text immutable language plpgsql as $$ begin if v !~ 'secret' then raise exception 'not %', v; end if; return v; end $$`,
      'create table odd (v text)',
      `insert into odd values ('secret-four')`,
      'create index on odd (grumble(v))',
    ])
    const failing: readonly (readonly [Written, RegExp])[] = [
      [{ table: 'public.one', column: 'b', constant: 'same' }, /masking public\.one\.b failed: .*one_a_b_key/],
      [{ table: 'public.one', column: 'b', null: true }, /masking public\.one\.b failed: .*kept/],
      [{ table: 'public.child', column: 'parent', constant: 'nobody' }, /public\.child .*foreign key to_parent/],
      [{ table: 'public.odd', column: 'v', fake: 'city' }, /masking public\.odd\.v failed: SQLSTATE P0001/],
    ]
    for (const [rule, message] of failing) {
      const error = await mask(cluster, { rules: [rule] }).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'FAILED', message: expect.stringMatching(message) })
      expect(JSON.stringify(error) + String(error) + String((error as Error).cause)).not.toMatch(/secret-|not [A-Z]/)
    }
    expect(await cluster.log()).not.toContain('secret-')
    const [state] = await cluster.query('shop', `select count(*)::int as left from public.one where b ~ 'secret'`)
    expect(state).toEqual({ left: 2 })
  })

  test('a cluster whose files it could not clean', async () => {
    if (!binaries) throw new Error('there is no PostgreSQL here')
    await using wrong = await startCluster(binaries)
    await expect(mask(wrong, {})).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining('wal_recycle'),
    })

    await using held = await startCluster(binaries, {
      ...{ wal_recycle: 'off', wal_keep_size: '0', autovacuum: 'off', max_prepared_transactions: '2' },
    })
    await held.query('postgres', `begin; create table public.t (); prepare transaction 'waits'`)
    await expect(mask(held, {})).rejects.toMatchObject({ message: expect.stringContaining('1 prepared transactions') })
    await held.query('postgres', `rollback prepared 'waits'`)
    await held.query('postgres', 'create database closed allow_connections false')
    await expect(mask(held, {})).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('"closed"'),
    })
  })

  test('a template0 that is more than empty, and leaves it closed', async () => {
    await using cluster = await maskableCluster(binaries)
    const change = async (statement: string): Promise<void> => {
      await cluster.query('postgres', 'alter database template0 allow_connections true')
      await cluster.query('template0', statement)
      await cluster.query('postgres', 'alter database template0 allow_connections false')
    }
    await shopWith(cluster, ['create table t (a text)'])
    await change('create table public.hidden (email text)')
    await expect(mask(cluster, {})).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/template0.*has something of its own: public\.hidden/),
      hint: expect.stringContaining('ALLOW_CONNECTIONS'),
    })
    await change(`drop table public.hidden; select lo_from_bytea(0, 'anything')`)
    await expect(mask(cluster, {})).rejects.toMatchObject({ message: expect.stringContaining('large objects') })
    await change('select lo_unlink(oid) from pg_largeobject_metadata')
    await mask(cluster, {})
    const state = await cluster.query(
      'postgres',
      `select datallowconn as open from pg_database where datname = 'template0'`,
    )
    expect(state).toEqual([{ open: false }])
  })
})
