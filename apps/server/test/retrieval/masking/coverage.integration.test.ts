import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { search } from './canaries.ts'
import { majorsUnderTest, mask, maskableCluster, shopWith, type Written } from './world.ts'

const majors = await majorsUnderTest()

/** Values of each kind, in columns whose names say nothing. */
const source = [
  `create table thing (
    id int primary key, a text, b text, c bigint, d jsonb, e text[], f text, g text, h text, i inet, j text, k text,
    plain text, count int, made_at timestamptz, price numeric, long_number bigint, version text, code text, doc jsonb
  )`,
  `insert into thing
   select n, case when n = 77 then 'write to someone' || n || '@corp.test, please' else 'nothing here' end, 'DE89 3704 0044 0532 0130 00', 4111111111111111,
     jsonb_build_object('deep', array['x', 'person' || n || '@corp.test']), array['+49 30 ' || 1234560 + n], '+49 30 ' || 1234560 + n, '192.168.' || n % 200 || '.7', '123-45-6789',
     '10.0.0.1', 'AB 12 34 56 C', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl',
     'just words and ' || n, n, now(), n * 1.5, 1000000000000 + n, '1.' || n || '.3', 'A-' || 1000 + n, '{"a": [1, 2, "three"]}'
   from generate_series(1, 400) n`,
  'create table person (id int primary key, email text, born_on date, first_name text, salary numeric, password_hash text, active bool)',
  'create table reading (at int, owner_email text) partition by range (at)',
  'create table reading_1 partition of reading for values from (0) to (10)',
  'create table reading_2 partition of reading for values from (10) to (20)',
  `insert into reading values (1, 'x'), (11, 'y')`,
  // A collation by which different texts are equal.
  `create collation folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
  'create table loose (x text collate folded)',
  `insert into loose select 'one' || n || '@corp.test' from generate_series(1, 9) n`,
]

const block: Written = { coverage: { mode: 'block' } }

describe.each(majors)('the coverage check in PostgreSQL $version', (binaries) => {
  test('finds what names say and values look like, and nothing else', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, source)
    const { notes } = await mask(cluster, { coverage: { mode: 'warn' } })
    const found = Object.fromEntries(
      notes.map((note) => /^not masked: public\.(\S+) of shop \((.*)\)$/.exec(note)?.slice(1) ?? [note, '']),
    )
    expect(found).toEqual({
      'thing.a': 'its values look like email addresses, less than 1 % of them',
      'thing.b': 'its values look like bank accounts (IBAN), 100 % of them',
      'thing.c': 'its values look like card numbers, 100 % of them',
      'thing.d': 'its values look like email addresses, 100 % of them',
      'thing.e': 'its values look like phone numbers, 100 % of them',
      'thing.f': 'its values look like phone numbers, 100 % of them',
      'thing.g': 'its values look like network addresses, 100 % of them',
      'thing.h': 'its values look like social security numbers, 100 % of them',
      'thing.i': expect.stringContaining('network addresses'),
      'thing.j': 'its values look like national ids, 100 % of them',
      'thing.k': 'its values look like signed tokens or keys, 100 % of them',
      'person.email': 'its name says an email address',
      'person.first_name': "its name says a person's name",
      'person.password_hash': 'its name says a secret',
      'person.salary': 'its name says what somebody earns',
      'reading.owner_email': 'its name says an email address',
      'loose.x': 'its values look like email addresses, 100 % of them',
    })
  })
})

describe.skipIf(majors.length === 0)('the coverage check', () => {
  const statements = [
    'create table person (id int primary key, email text, nick text, login text)',
    `insert into person values (1, 'known-value@corp.test', 'n', 'l')`,
  ]

  test('fails the masking with what to write, and shows no value', async () => {
    await using cluster = await maskableCluster(majors.at(-1))
    await shopWith(cluster, statements)
    const error = await mask(cluster, block).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(
        /public\.person\.email of shop \(its values look like email addresses, 100 % of them\).*person\.nick/,
      ),
      hint: expect.stringContaining('retrieval.masking.coverage.allow, such as "public.person.email"'),
    })
    expect(JSON.stringify(error) + String(error)).not.toContain('known-value')
  })

  test('is content with rules, with columns that were allowed, and with what is gone', async () => {
    await using cluster = await maskableCluster(majors.at(-1))
    await shopWith(cluster, statements)
    const rules = [{ table: 'public.person', column: 'email', fake: 'email' }]
    const left = mask(cluster, { rules, coverage: { allow: ['public.person.nick'] } })
    await expect(left).rejects.toMatchObject({ message: expect.not.stringMatching(/email|nick/) })
    const done = await mask(cluster, { rules, coverage: { allow: ['public.person.nick', '*.*.log*'] } })
    expect(done.notes).toEqual([])
  })

  test('finds what only few rows at the end of a large table hold', async () => {
    await using cluster = await maskableCluster(majors.at(-1))
    await shopWith(cluster, [
      'create table wide (id int, filler text)',
      `insert into wide select i, repeat('lorem ipsum ', 80) from generate_series(1, 16000) i`,
      `insert into wide select i, repeat('dolor sit ', 80) || 'x@corp.test' from generate_series(1, 1000) i`,
    ])
    const { notes } = await mask(cluster, { coverage: { mode: 'warn' } })
    expect(notes).toEqual([expect.stringMatching(/wide\.filler .* email addresses, \d+ % of them/)])
  })

  test('wants to be told what becomes of large objects', async () => {
    await using cluster = await maskableCluster(majors.at(-1))
    await shopWith(cluster, [`select lo_from_bytea(0, 'anything')`])
    await expect(mask(cluster, block)).rejects.toMatchObject({
      code: 'INVALID',
      hint: expect.stringContaining('retrieval.masking.largeObjects'),
    })
    expect((await mask(cluster, { ...block, largeObjects: 'keep' })).notes).toEqual([])
    const objects = () => cluster.query('shop', 'select 1 from pg_largeobject')
    expect(await objects()).toHaveLength(1)
    await mask(cluster, { ...block, largeObjects: 'remove' })
    expect(await objects()).toEqual([])
  })

  test('looks at materialized views that may hold what is in no table, and not at what was masked in one', async () => {
    await using cluster = await maskableCluster(majors.at(-1))
    await shopWith(cluster, [
      'create table person (id int primary key, contact text)',
      `insert into person values (1, 'known-value@corp.test')`,
      'create view people as select * from person',
      'create materialized view plain as select contact from people where contact <> lower($$X$$)',
      'create materialized view again as select * from plain',
      `create function told() returns text language plpgsql as $$ begin return 'known-value@corp.test'; end $$`,
      'create view telling as select told() as v',
      'create materialized view by_function as select v from telling',
      `create materialized view by_xml as select query_to_xml($$select 'a@corp.test' as v$$, true, false, '') as v`,
      'create materialized view by_statistics as select most_common_vals::text as email from pg_stats',
      'create materialized view empty as select told() as email with no data',
    ])
    const rules = [{ table: 'public.person', column: 'contact', fake: 'email' }]
    const error = await mask(cluster, { ...block, rules }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/by_function\.v .*email addresses.*by_xml\.v .*by_statistics\.email .*its name/),
      hint: expect.stringMatching(/public\.by_function, public\.by_xml, public\.by_statistics: .* in a masking file/),
    })
    expect((error as Error).message).not.toMatch(/plain|again|empty/)
    const path = join(cluster.directory, 'mask.sql')
    await writeFile(path, 'drop materialized view by_xml, by_statistics')
    await mask(cluster, { files: [{ path }], coverage: { allow: ['*.by_function.v', '*.person.contact'] } })
  })

  test('has materialized views refreshed first, also where no rule is about the database', async () => {
    await using cluster = await maskableCluster(majors.at(-1))
    await shopWith(cluster, [
      'create table person (email text)',
      `insert into person values ('known-value@corp.test')`,
      'create materialized view held as select * from person',
      'analyze',
      'truncate person',
    ])
    expect((await mask(cluster, { coverage: { mode: 'block', allow: ['public.person.email'] } })).notes).toEqual([])
    expect(await cluster.query('shop', 'select * from public.held')).toEqual([])
    await cluster.stop()
    expect(await search(cluster.instance.dataDir, ['known-value'])).toEqual(new Map())
  })

  test('names a materialized view that can not be refreshed', async () => {
    await using cluster = await maskableCluster(majors.at(-1))
    await shopWith(cluster, [
      'create table person (id int)',
      'create materialized view held as select 1 / id as v from person',
      'insert into person values (0)',
    ])
    await expect(mask(cluster, {})).rejects.toMatchObject({
      code: 'FAILED',
      message:
        'refreshing the materialized view public.held failed: SQLSTATE 22012, whose text may quote the data and is left out',
      hint: expect.stringContaining('masking file'),
    })
  })

  test('reads what bytes say', async () => {
    await using cluster = await maskableCluster(majors.at(-1))
    await shopWith(cluster, [
      'create domain blob as bytea',
      'create table attached (id int, a blob, b bytea[], c bytea)',
      `insert into attached values (1, '\\xff00'::bytea || 'x@corp.test', array['y'::bytea, '\\xffff'::bytea || 'y@corp.test'], '\\x0102ff40')`,
    ])
    const { notes } = await mask(cluster, { coverage: { mode: 'warn' } })
    expect(notes).toEqual([
      expect.stringMatching(/attached\.a .* email addresses/),
      expect.stringMatching(/attached\.b .* email addresses/),
    ])
  })
})
