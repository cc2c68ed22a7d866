import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { prepareBase, scramVerifier, withLabConnection } from '../../src/postgres/index.ts'
import { flushUser } from '../../src/postgres/next-user.ts'
import { setUpUserIn } from '../../src/postgres/roles.ts'
import {
  asUser,
  cloneWithUser,
  giveUser,
  labQuery,
  labScript,
  oneForAll,
  preparedTemplate,
  type Template,
} from './cluster.ts'
import { fillAsImport } from './production.ts'
import { makeWorld } from './world.ts'

let template: Template
beforeAll(async () => {
  template = await preparedTemplate({}, fillAsImport)
})
afterAll(() => template[Symbol.asyncDispose]())

async function open(username = 'ann') {
  const world = await makeWorld()
  const instance = await cloneWithUser(world, await world.copyOf(template.dataDir, 'data'), username)
  return { world, instance, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

const shared = oneForAll(() => open())

describe("a clone's user", () => {
  test('may do to the main database what its owner may', async () => {
    await using clone = await open()
    await asUser(clone.instance, { user: 'ann' }, async (query) => {
      for (const statement of [
        'create table made (id int)',
        'alter table sales.orders add column note text',
        'truncate sales.orders',
        'insert into public.t values (1)',
        'alter table public.t alter name type varchar(10)',
        'drop view sales.big',
        'refresh materialized view sales.sums',
        `alter type sales.mood add value 'great'`,
        'alter domain sales.positive drop constraint positive_check',
        "create or replace function sales.add(a int, b int) returns int language sql as 'select 2'",
        'drop aggregate sales.total(int)',
        'alter table "Odd Schema"."Odd "" Table" rename to plain',
        'drop schema "Odd Schema" cascade',
        'create schema mine',
        'drop table public.by_lab',
        'alter publication parts add table public.t',
        'create index on sales.parts (id)',
        'vacuum analyze public.t',
        'drop extension if exists pg_trgm',
        'create extension hstore',
        'drop extension hstore',
        'create database second',
        "comment on database postgres is 'mine'",
        'select lo_unlink(oid) from pg_largeobject_metadata',
      ]) {
        await query(statement)
      }
    })
    await asUser(clone.instance, { user: 'ann', database: 'second' }, async (query) => {
      await query('create table there (id int)')
    })
  })

  test.each([
    ['run a program', `copy (select 1) to program 'id'`],
    ['run a program for input', `create temp table x (a text); copy x from program 'id'`],
    ['read a file', `select pg_read_file('/etc/passwd')`],
    ['read a file by COPY', `create temp table x (a text); copy x from '/etc/passwd'`],
    ['list a directory', `select pg_ls_dir('/')`],
    ['import a file', `select lo_import('/etc/passwd')`],
    ['become the lab', 'set role dblab'],
    ['become it for the session', 'set session authorization dblab'],
    ['change the server', `alter system set work_mem = '1GB'`],
    ['load a library', `load 'adminpack'`],
    ['preload one', `set session_preload_libraries = 'x'`],
    ['make a superuser', 'create role root superuser'],
    ['make a role', 'create role other'],
    ["take the lab's password", `alter role dblab password 'x'`],
    ['see passwords', 'select rolpassword from pg_authid'],
    ['make a C function', `create function c() returns int language c as 'x', 'y'`],
    ['take a role that reads files', 'grant pg_read_server_files to ann'],
    ["take the lab's role", 'grant dblab to ann'],
    [
      'read files through a foreign table',
      `create server f foreign data wrapper file_fdw; create foreign table g (a text) server f options (filename '/etc/passwd')`,
    ],
    ['connect from the host', `select dblink_connect('host=127.0.0.1 sslkeylogfile=/tmp/keys')`],
    ['connect from it by the way', `select * from dblink('host=127.0.0.1', 'select 1') as t (one int)`],
    ['take the right to that back', 'grant execute on function dblink_connect(text) to ann'],
    ['own what connects', 'alter function dblink_connect(text) owner to ann'],
    ['take it out of its extension', 'alter extension dblink drop function dblink_connect(text)'],
    ['reload the server', 'select pg_reload_conf()'],
    ['drop the event trigger', 'drop event trigger watch'],
    [
      "end the lab's sessions",
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'dblab'; drop database dblab`,
    ],
  ])('can not %s', async (_what, sql) => {
    const clone = await shared()
    const attempt = asUser(clone.instance, { user: 'ann' }, async (query) => {
      // One at a time: some may not be in the transaction that several make.
      for (const statement of sql.split('; ')) await query(statement)
    })
    await expect(attempt).rejects.toMatchObject({
      severity: 'ERROR',
      code: expect.stringMatching(/^(42501|42809|42704|22023|0LP01|58P01)$/),
    })
  })

  test('can not bring back what reaches out of the database', async () => {
    await using clone = await open()
    await asUser(clone.instance, { user: 'ann' }, async (query) => {
      await query('create schema mine')
      await expect(query('alter extension dblink set schema mine')).rejects.toMatchObject({ code: '42501' })
      await query('alter extension dblink update')
      await expect(query(`select dblink_connect('host=127.0.0.1')`)).rejects.toMatchObject({ code: '42501' })
      await query('drop extension dblink')
      await expect(query('create extension dblink')).rejects.toMatchObject({ code: '42501' })
    })
  })

  test('gets nothing that reaches out from a function that the data made without the extension, nor by becoming a part of it', async () => {
    await using clone = await open()
    await asUser(clone.instance, { user: 'ann' }, async (query) => {
      await query(`create function mine() returns text security definer language sql as 'select current_user'`)
      await query('alter extension dblink add function mine()')
    })
    await labScript(
      clone.instance,
      `set default_transaction_read_only = off; grant execute on function dblink_connect(text) to app with grant option;
       create function reach(text) returns text language c as '$libdir/dblink', 'dblink_connect'; alter function reach owner to app;
       grant execute on function reach to app with grant option`,
    )
    await prepareBase(clone.instance, { database: 'postgres' })
    await giveUser(clone.instance, 'app')
    const functions = await labQuery(
      clone.instance,
      `select proname::text as name, proowner::regrole::text as owner, has_function_privilege('app', oid, 'execute') as open
       from pg_proc where proname in ('mine', 'reach') or proname = 'dblink_connect' and pronargs = 1 order by 1`,
    )
    expect(functions).toEqual([
      { name: 'dblink_connect', owner: 'dblab', open: false },
      { name: 'mine', owner: 'dblab_owner', open: true },
      { name: 'reach', owner: 'dblab', open: false },
    ])
  })

  test("can not enter the lab's own database, nor come as anybody else", async () => {
    await using clone = await open()
    const nothing = async () => undefined
    await expect(asUser(clone.instance, { user: 'ann', database: 'dblab' }, nothing)).rejects.toMatchObject({
      code: '42501',
    })
    for (const user of ['dblab', 'app', 'boss', 'dblab_owner']) {
      await expect(asUser(clone.instance, { user }, nothing)).rejects.toMatchObject({ code: '28000' })
    }
    await expect(asUser(clone.instance, { user: 'ann', password: 'no' }, nothing)).rejects.toMatchObject({
      code: '28P01',
    })
  })

  test('is on disk once it was flushed, where nothing else would bring it there soon', async () => {
    await using world = await makeWorld()
    const spec = await world.spec('clone', await world.copyOf(template.dataDir, 'data'))
    const settings = { ...spec.settings, wal_writer_delay: '10s' }
    const instance = await world.runtime.start({ ...spec, settings })
    await withLabConnection(instance, 'postgres', async (client) => {
      const lag = async () => {
        const { rows } = await client.query(
          'select (pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn())::int as bytes',
        )
        return rows[0].bytes
      }
      await client.query('checkpoint')
      await setUpUserIn(
        client,
        { database: 'postgres', username: 'ann', verifier: await scramVerifier('x'), allowSuperuser: false },
        'soon',
      )
      expect(await lag()).toBeGreaterThan(0)
      await flushUser(client)
      expect(await lag()).toBe(0)
    })
  })
})
