import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  dropImportRole,
  IMPORT_ROLE,
  type Instance,
  LAB_DATABASE,
  prepareBase,
  scramVerifier,
  setUpUser,
} from '../../src/postgres/index.ts'
import { asUser, cloneWithUser, labQuery, labScript, PASSWORD, preparedTemplate, type Template } from './cluster.ts'
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

describe('a prepared base', () => {
  test('leaves nothing of the main database to anybody but the owner role and the lab', async () => {
    await using clone = await open()
    const owners = await labQuery(
      clone.instance,
      `select distinct relowner::regrole::text as owner from pg_class where oid >= 16384 and relkind <> 'c'
         and relnamespace <> 'pg_toast'::regnamespace
         and not exists (select from pg_depend d where d.objid = pg_class.oid and d.deptype = 'e')
       union select proowner::regrole::text from pg_proc where oid >= 16384
         and not exists (select from pg_depend d where d.objid = pg_proc.oid and d.deptype = 'e')
       union select nspowner::regrole::text from pg_namespace where oid >= 16384 or nspname = 'public'
       union select typowner::regrole::text from pg_type where oid >= 16384
         and not exists (select from pg_depend d where d.objid = pg_type.oid and d.deptype in ('e', 'i'))
       union select lomowner::regrole::text from pg_largeobject_metadata
       union select extowner::regrole::text from pg_extension where oid >= 16384
       union select datdba::regrole::text from pg_database where datname = 'postgres'`,
    )
    expect(owners).toEqual([{ owner: 'dblab_owner' }])
    const others = await labQuery(
      clone.instance,
      `select evtowner::regrole::text as owner, evtenabled::text as state from pg_event_trigger
       union all select pubowner::regrole::text, pubname::text from pg_publication
       union all select proowner::regrole::text, proname::text from pg_proc where proname = 'file_fdw_handler' order by 2`,
    )
    expect(others).toEqual([
      { owner: 'dblab', state: 'O' },
      { owner: 'dblab', state: 'everything' },
      { owner: 'dblab', state: 'file_fdw_handler' },
      { owner: 'dblab_owner', state: 'parts' },
    ])
  })

  test('has no other superuser, no other login and no password of the source', async () => {
    await using clone = await open()
    const roles = await labQuery(
      clone.instance,
      `select rolname from pg_authid where (rolsuper or rolreplication or rolbypassrls or rolcreaterole or rolcanlogin
         or rolpassword is not null) and rolname not in ('dblab', 'ann')`,
    )
    expect(roles).toEqual([])
    expect(await labQuery(clone.instance, `select 1 from pg_roles where rolname = '${IMPORT_ROLE}'`)).toEqual([])
    const members = await labQuery(
      clone.instance,
      `select 1 from pg_auth_members where roleid in ('pg_execute_server_program'::regrole, 'pg_read_server_files'::regrole, 'dblab'::regrole)
         and member <> 'dblab'::regrole`,
    )
    expect(members).toEqual([])
    const open_ = await labQuery(
      clone.instance,
      `select has_function_privilege('app', 'pg_read_file(text)', 'execute') as read,
         has_function_privilege('app', 'pg_ls_dir(text)', 'execute') as list`,
    )
    expect(open_).toEqual([{ read: false, list: false }])
  })

  test('is the same after it is prepared again', async () => {
    await using clone = await open()
    await prepareBase(clone.instance, { database: 'postgres' })
    await dropImportRole(clone.instance)
    await setUp(clone.instance, 'ann')
    expect(
      await asUser(clone.instance, { user: 'ann' }, (query) => query('select count(*)::int from sales.orders')),
    ).toEqual([{ count: 20 }])
  })

  test("refuses data with a database that has the name of the lab's own", async () => {
    await using clone = await open()
    const prepare = prepareBase(clone.instance, { database: LAB_DATABASE })
    await expect(prepare).rejects.toMatchObject({ code: 'INVALID', hint: expect.any(String) })
    await expect(prepareBase(clone.instance, { database: 'nothing' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('what a user did to a database', () => {
  test.each([
    ['connection limit 0'],
    ['allow_connections false'],
    ['is_template true'],
    [`set local_preload_libraries = 'nothing'`],
    ['set transaction_timeout = 1'],
    ['set idle_session_timeout = 1'],
  ])('does not keep it from being made a base again, nor clones of that from their users: %s', async (change) => {
    await using clone = await open()
    await asUser(clone.instance, { user: 'ann' }, (query) => query('create database second'))
    await asUser(clone.instance, { user: 'ann', database: 'second' }, (query) =>
      query(`alter database postgres ${change}`),
    )
    await prepareBase(clone.instance, { database: 'postgres' })
    await setUp(clone.instance, 'bob')
    for (let i = 0; i < 20; i++) expect(await labQuery(clone.instance, 'select 1 as one')).toEqual([{ one: 1 }])
    const closed = `select 1 from pg_database where datname = 'postgres' and (not datallowconn or datistemplate or datconnlimit <> -1)`
    expect(await labQuery(clone.instance, closed)).toEqual([])
  })
})

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
    await using clone = await shared()
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
    await setUp(clone.instance, 'app')
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

  test('may be a role that the data has, even an expired one without connections', async () => {
    await using clone = await open('boss')
    const facts = await asUser(clone.instance, { user: 'boss' }, (query) =>
      query('select rolsuper from pg_roles where rolname = session_user'),
    )
    expect(facts).toEqual([{ rolsuper: false }])
  })

  test('is refused when it is a superuser of the data, unless superusers are allowed', async () => {
    await using clone = await open()
    await labScript(clone.instance, 'set default_transaction_read_only = off; create role admin superuser')
    const spec = { database: 'postgres', username: 'admin', verifier: await scramVerifier(PASSWORD) }
    const refused = setUpUser(clone.instance, { ...spec, allowSuperuser: false })
    await expect(refused).rejects.toMatchObject({ code: 'INVALID', hint: expect.any(String) })
    await setUpUser(clone.instance, { ...spec, allowSuperuser: true })
    expect(await labQuery(clone.instance, `select rolsuper from pg_roles where rolname = 'admin'`)).toEqual([
      { rolsuper: true },
    ])
  })

  test('can not have a name of the lab, of Postgres, or none', async () => {
    await using clone = await shared()
    for (const username of [
      'dblab',
      'dblab_owner',
      'dblab_import',
      'pg_monitor',
      'pg_x',
      'public',
      'none',
      '',
      'a\0b',
      'a\nb',
      'ä'.repeat(32),
    ]) {
      const spec = { database: 'postgres', username, verifier: await scramVerifier(PASSWORD), allowSuperuser: false }
      await expect(setUpUser(clone.instance, spec), username).rejects.toMatchObject({ code: 'INVALID' })
    }
    const plain = { database: 'postgres', username: 'x', verifier: 'a password by mistake', allowSuperuser: true }
    await expect(setUpUser(clone.instance, plain)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.not.stringContaining('mistake'),
    })
  })
})

let kept: Promise<Awaited<ReturnType<typeof open>>> | undefined
/** For what changes nothing: one clone for all of them. */
async function shared() {
  kept ??= open()
  const { world, instance } = await kept
  return { world, instance, [Symbol.asyncDispose]: async () => undefined }
}
afterAll(async () => (await kept)?.[Symbol.asyncDispose]())

async function setUp(instance: Instance, username: string): Promise<void> {
  await setUpUser(instance, {
    database: 'postgres',
    username,
    verifier: await scramVerifier(PASSWORD),
    allowSuperuser: false,
  })
}
