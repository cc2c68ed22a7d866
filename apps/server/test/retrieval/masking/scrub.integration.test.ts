import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { clusterState } from '@dblab/provision'
import { describe, expect, test } from 'vitest'
import type { Cluster } from '../cluster.ts'
import { giveTo } from '../dumps.ts'
import { canary, search } from './canaries.ts'
import { keysUnderTest, majorsUnderTest, mask, maskableCluster, shopWith } from './world.ts'

/** One for each place where a value leaves itself behind, named for it. */
const PLACES = [
  'heap',
  'toast',
  'btree',
  'hash',
  'gin',
  'brin',
  'dead index',
  'matview',
  'matview of a view',
  'matview of a function',
  'common value',
  'histogram',
  'extended statistics',
  'large object',
  'missing value',
  'dropped column',
  'deleted row',
  'emptied table',
  'truncated table',
  'unlogged',
  'child',
  'partition',
  'array',
  'file',
  'server log',
  'core dump',
  'kept statement',
  'orphan',
  'other database',
  'kept segment',
] as const

const of = Object.fromEntries(PLACES.map((name) => [name, canary(name)])) as Record<(typeof PLACES)[number], string>

const source = [
  // As they are, in pages and out of line, so that the search would find them.
  `create table person (id int primary key, heap text, big text, btree text unique, hashed text, words text[], ranged text, mcv text, hist text, ext_a text, ext_b text)`,
  'alter table person alter big set storage external',
  `insert into person select 1, '${of.heap}', repeat('${of.toast}', 100), '${of.btree}', '${of.hash}', array['${of.gin}', '${of.array}'], '${of.brin}',
     '${of['common value']}', '${of.histogram}', '${of['extended statistics']}', '${of['extended statistics']}'`,
  `insert into person select i, 'h' || i, null, 'b' || i, 'x' || i, array['w' || i], 'r' || i,
     case when i % 3 = 0 then '${of['common value']}' else 'm' || i end, case when i = 2 then '${of.histogram}' else 'i' || i end,
     case when i % 2 = 0 then '${of['extended statistics']}' else 'e' || i end, case when i % 2 = 0 then '${of['extended statistics']}' else 'f' || i end
   from generate_series(2, 500) i`,
  'create index on person using hash (hashed)',
  'create index on person using gin (words)',
  'create index on person using brin (ranged)',
  'create statistics ext (mcv, dependencies) on ext_a, ext_b from person',
  'create table cut_off (secret text)',
  `insert into cut_off values ('${of['dead index']}')`,
  'create index dead on cut_off (secret)',
  `set allow_system_table_mods = on; update pg_index set indislive = false, indisready = false, indisvalid = false where indexrelid = 'dead'::regclass`,
  `create table note (id int primary key, deep text)`,
  `insert into note values (1, '${of.matview}'), (2, '${of['matview of a view']}')`,
  'create materialized view notes as select deep from note where id = 1',
  'create view all_notes as select deep from note where id = 2',
  'create materialized view deep_notes as select deep from all_notes',
  'create index on notes (deep)',
  // No catalogue says what this one reads, and it is older than that.
  `create function told() returns setof text language plpgsql as $$ begin return query execute 'select deep from public.told_notes'; end $$`,
  `insert into note values (4, '${of['matview of a function']}')`,
  'create materialized view told_again as select told() with no data',
  'create materialized view told_notes as select deep from note where id = 4',
  'refresh materialized view told_again',
  `create table late (id int)`,
  'insert into late values (1), (2)',
  `alter table late add column filled text default '${of['missing value']}'`,
  'alter table late alter filled drop default',
  `create table gone (id int, dropped text)`,
  `insert into gone values (1, '${of['dropped column']}')`,
  'alter table gone drop column dropped',
  `insert into note values (3, '${of['deleted row']}')`,
  'delete from note where id = 3',
  `create table emptied (secret text)`,
  `insert into emptied select '${of['emptied table']}' from generate_series(1, 100)`,
  'analyze emptied',
  'delete from emptied',
  `create table truncated (secret text)`,
  `insert into truncated values ('${of['truncated table']}')`,
  'truncate truncated',
  `create unlogged table unlogged (secret text)`,
  `insert into unlogged values ('${of.unlogged}')`,
  'create table inherited (own text) inherits (note)',
  `insert into inherited values (9, 'x', '${of.child}')`,
  'create table parts (id int, secret text) partition by range (id)',
  'create table part_1 partition of parts for values from (0) to (10)',
  `insert into parts values (1, '${of.partition}')`,
  `select lo_from_bytea(0, '${of['large object']}'::bytea)`,
  `create table by_file (secret text)`,
  `insert into by_file values ('${of.file}')`,
  'analyze',
]

const rules = [
  { table: 'public.person', column: 'words', hash: true },
  { table: 'public.person', column: 'btree', hash: true },
  { table: 'public.person', column: 'heap', fake: 'name' },
  { table: 'public.person', column: 'big', constant: 'gone' },
  { table: 'public.person', column: '*', hash: true, database: 'shop' },
  { table: 'public.note', column: 'deep', null: true },
  { table: 'public.late', column: 'filled', fake: 'text' },
  { table: 'public.*', column: 'secret', hash: true },
  { table: 'public.inherited', column: 'own', null: true },
  { table: 'public.person', column: 'secret', database: 'other', hash: true },
]

const majors = await majorsUnderTest()

const none = async () => []

async function oneFile(cluster: Cluster): Promise<{ path: string }[]> {
  const path = join(cluster.directory, 'mask.sql')
  await writeFile(path, `-- What rules can't do.\nupdate public.by_file set secret = 'masked';\n`)
  return [{ path }]
}

const ways = majors.flatMap((binaries, i) => [
  { binaries, filesOf: none, how: `${binaries.version}, by rules` },
  ...(i === majors.length - 1 ? [{ binaries, filesOf: oneFile, how: `${binaries.version}, by a file and rules` }] : []),
])

describe('the files of a cluster', () => {
  test.each(ways)(
    'of PostgreSQL $how hold no masked value after a clean shutdown, and held every one before',
    async (way) => {
      const { binaries, filesOf } = way
      await using cluster = await maskableCluster(binaries)
      const { dataDir } = cluster.instance
      await shopWith(cluster, source)
      await cluster.query('postgres', 'create database other template template0')
      await cluster.query('other', `create table public.person (secret text)`)
      await cluster.query('other', `insert into public.person values ('${of['other database']}')`)
      // A checkpoint leaves out what is unlogged.
      await cluster.restart()
      await plant(cluster, dataDir)
      const texts = Object.values(of)
      const before = await search(dataDir, texts)
      expect(PLACES.filter((place) => !before.has(of[place]))).toEqual([])
      expect([...before.values()].flat().some((path) => path.startsWith('pg_wal/'))).toBe(true)

      const result = await mask(cluster, { files: await filesOf(cluster), rules, largeObjects: 'remove' })
      expect(result.notes.join('\n')).toMatch(/removed from the data directory: log\b/)
      await cluster.stop()
      expect(await clusterState(dataDir)).toBe('shut down')
      expect(await search(dataDir, [...texts, ...(await keysUnderTest())])).toEqual(new Map())
    },
  )

  test.each(majors)('of PostgreSQL $version are found in tablespaces too', async (binaries) => {
    await using cluster = await maskableCluster(binaries)
    const { dataDir } = cluster.instance
    const place = join(cluster.directory, 'elsewhere')
    await mkdir(place)
    await giveTo(cluster, place)
    await cluster.query('postgres', `create tablespace elsewhere location '${place}'`)
    await shopWith(cluster, ['create table person (secret text)'], 'tablespace elsewhere')
    await cluster.query('shop', `insert into public.person values ('${of.heap}')`)
    await cluster.query('shop', 'create table public.near (id int) tablespace pg_default')
    const [facts] = await cluster.query<{ oid: string; database: string }>(
      'shop',
      `select t.oid, d.oid as database from pg_tablespace t, pg_database d where spcname = 'elsewhere' and datname = 'shop'`,
    )
    // As `tablespaces/<number>` of a volume: by a relative link.
    const link = join(dataDir, 'pg_tblspc', String(facts?.oid))
    await cluster.stop()
    await rm(link)
    await symlink('../../elsewhere', link)
    await cluster.restart()
    const [version] = (await readdir(place)).filter((name) => name.startsWith('PG_'))
    const own = join(place, version ?? '')
    await mkdir(join(place, 'PG_9.6_201608131'))
    await mkdir(join(own, 'pgsql_tmp'), { recursive: true })
    await mkdir(join(own, '99999'))
    const planted = [
      join(own, String(facts?.database), '987654'),
      join(dataDir, 'base', String(facts?.database), '987654'),
      join(own, 'pgsql_tmp', 'pgsql_tmp1.0'),
      join(own, '99999', '1234'),
      join(place, 'PG_9.6_201608131', '1234'),
    ]
    for (const path of planted) {
      await writeFile(path, of.orphan)
      await giveTo(cluster, path)
    }
    for (const name of [join(place, 'PG_9.6_201608131'), join(own, 'pgsql_tmp'), join(own, '99999')])
      await giveTo(cluster, name)
    await mask(cluster, { rules: [{ table: 'public.person', column: 'secret', hash: true }] })
    await cluster.stop()
    expect(await search(place, [of.heap, of.orphan])).toEqual(new Map())
    expect(await search(dataDir, [of.heap, of.orphan])).toEqual(new Map())
  })

  test('of tables that no rule is about are not written anew', async () => {
    await using cluster = await maskableCluster(majors.at(-1))
    await shopWith(cluster, [
      'create table masked (secret text)',
      `insert into masked values ('one')`,
      'create table other (open text)',
      `insert into other values ('two')`,
    ])
    const node = (table: string) => cluster.query('shop', `select pg_relation_filenode('public.${table}') as node`)
    const before = { masked: await node('masked'), other: await node('other') }
    await mask(cluster, { rules: [{ table: 'public.masked', column: 'secret', null: true }] })
    expect(await node('other')).toEqual(before.other)
    expect(await node('masked')).not.toEqual(before.masked)
  })
})

/** What a copied data directory may hold besides the data. */
async function plant(cluster: Cluster, dataDir: string): Promise<void> {
  const [database] = await cluster.query<{ oid: number }>('shop', `select oid from pg_database where datname = 'shop'`)
  const [wal] = await cluster.query<{ name: string }>(
    'shop',
    // Kept for later use under a name to come, as recycled ones are.
    `select pg_walfile_name(pg_current_wal_insert_lsn() + 3 * 16777216) as name`,
  )
  await mkdir(join(dataDir, 'log'))
  const files = {
    'log/postgresql.log': of['server log'],
    core: of['core dump'],
    'pg_stat/pg_stat_statements.stat': of['kept statement'],
    [`base/${database?.oid}/987654`]: of.orphan,
    [`pg_wal/${wal?.name}`]: of['kept segment'].padStart(2 ** 24, '\0'),
  }
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(dataDir, name), text)
    await giveTo(cluster, join(dataDir, name))
  }
  await giveTo(cluster, join(dataDir, 'log'))
}
