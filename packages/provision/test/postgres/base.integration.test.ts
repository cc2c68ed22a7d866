import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropImportRole, IMPORT_ROLE, LAB_DATABASE, prepareBase } from '../../src/postgres/index.ts'
import { asUser, giveUser, labQuery, openClone, preparedTemplate, type Template } from './cluster.ts'
import { fillAsImport } from './production.ts'

let template: Template
beforeAll(async () => {
  template = await preparedTemplate({}, fillAsImport)
})
afterAll(() => template[Symbol.asyncDispose]())

const open = (username?: string) => openClone(template, username)

describe('a prepared base', () => {
  test('leaves nothing of the main database to anybody but the owner role and the lab', async () => {
    await using clone = await open()
    const owners = await labQuery(
      clone.instance,
      `select distinct relowner::regrole::text as owner from pg_class where oid >= 16384 and relkind <> 'c'
         and relnamespace <> 'pg_toast'::regnamespace
         and not exists (select from pg_depend d where d.objid = pg_class.oid and d.deptype = 'e')
       union select proowner::regrole::text from pg_proc where oid >= 16384 and proname <> 'built_in'
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
       union all select proowner::regrole::text, proname::text from pg_proc
         where proname in ('file_fdw_handler', 'built_in') order by 2`,
    )
    expect(others).toEqual([
      { owner: 'dblab', state: 'D' },
      { owner: 'dblab', state: 'built_in' },
      { owner: 'dblab', state: 'everything' },
      { owner: 'dblab_extensions', state: 'file_fdw_handler' },
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
    await giveUser(clone.instance, 'ann')
    expect(
      await asUser(clone.instance, { user: 'ann' }, (query) => query('select count(*)::int from sales.orders')),
    ).toEqual([{ count: 20 }])
  })

  test('is made ready however many objects it has', { timeout: 120_000 }, async () => {
    await using clone = await open()
    const functions = `do $$ begin for i in 1..10100 loop
      execute format('create function public.f%s() returns int language sql as %L', i, 'select 1'); end loop; end $$`
    await asUser(clone.instance, { user: 'ann' }, (query) => query(functions))
    await prepareBase(clone.instance, { database: 'postgres' })
    const left = `select proowner::regrole::text as owner, count(*)::int from pg_proc where proname ~ '^f\\d+$' group by 1`
    expect(await labQuery(clone.instance, left)).toEqual([{ owner: 'dblab_owner', count: 10_100 }])
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
    await giveUser(clone.instance, 'bob')
    for (let i = 0; i < 20; i++) expect(await labQuery(clone.instance, 'select 1 as one')).toEqual([{ one: 1 }])
    const closed = `select 1 from pg_database where datname = 'postgres' and (not datallowconn or datistemplate or datconnlimit <> -1)`
    expect(await labQuery(clone.instance, closed)).toEqual([])
  })
})
