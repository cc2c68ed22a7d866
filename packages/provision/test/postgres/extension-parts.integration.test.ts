import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createImportRole, IMPORT_ROLE, type Instance, prepareBase } from '../../src/postgres/index.ts'
import { asUser, cloneWithUser, giveUser, labQuery, labScript, preparedTemplate, type Template } from './cluster.ts'
import { makeWorld } from './world.ts'

/** An extension with code of its own that calls what belongs to the database: in sound ones by a mistake, of which there have been many. */
async function fill(instance: Instance): Promise<void> {
  await createImportRole(instance)
  await labScript(
    instance,
    `create extension hstore; create extension file_fdw;
     create function public.shape(a int) returns int immutable language plpgsql as 'begin return a; end';
     create table public.part (a int);
     create index on public.part (public.shape(a));
     insert into public.part select generate_series(1, 100);
     create function public.trusting() returns text security definer language plpgsql
       as 'begin perform public.shape(1); return current_user; end';
     alter extension hstore add table public.part;
     alter extension hstore add function public.trusting();
     create table public.codes (code int primary key);
     alter extension hstore add table public.codes;
     grant all on public.codes to public;
     grant references (code) on public.codes to public;
     create function public.closed(text) returns oid language internal strict security definer as 'be_lo_import';
     revoke all on function public.closed(text) from public;
     create foreign data wrapper unguarded handler file_fdw_handler;
     create server host foreign data wrapper unguarded;
     create role app;
     grant create on schema pg_catalog, information_schema to app with grant option`,
    'postgres',
    IMPORT_ROLE,
  )
}

let template: Template
beforeAll(async () => {
  template = await preparedTemplate({}, fill)
})
afterAll(() => template[Symbol.asyncDispose]())

async function open(username: string) {
  const world = await makeWorld()
  const instance = await cloneWithUser(world, await world.copyOf(template.dataDir, 'data'), username)
  return { world, instance, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

describe('what an extension of the data has brought', () => {
  test("runs nothing of a user's as a superuser, called by the user or by the lab", async () => {
    await using clone = await open('ann')
    const { instance } = clone
    await asUser(instance, { user: 'ann' }, async (query) => {
      expect(await query('select trusting()')).toEqual([{ trusting: 'dblab_extensions' }])
      await query(`create or replace function shape(a int) returns int immutable language plpgsql
        as $$ begin raise 'as %', current_user; end $$`)
      await expect(query('select trusting()')).rejects.toThrow('as dblab_extensions')
      // Neither can be taken back into the hands of those whom it would then trust.
      for (const sql of ['alter function trusting() owner to ann', 'alter table part owner to dblab_owner'])
        await expect(query(sql), sql).rejects.toMatchObject({ code: '42501' })
      await expect(query('set role dblab_extensions')).rejects.toMatchObject({ code: '42501' })
    })
    // As autovacuum does.
    await expect(labQuery(instance, 'analyze public.part')).rejects.toThrow('as dblab_extensions')
  })

  test("is referred to by no foreign key of a user's, whose cast it would run", async () => {
    await using clone = await open('app')
    await asUser(clone.instance, { user: 'app' }, async (query) => {
      await query(`create type odd as enum ('a')`)
      await query(`create function leak(odd) returns int language plpgsql as
        $$ begin grant execute on function closed(text) to app; return 1; end $$`)
      await query('create cast (odd as int) with function leak(odd) as implicit')
      const refer = query('create table referring (code odd references codes (code))')
      await expect(refer).rejects.toMatchObject({ code: '42501' })
      expect(await query('select * from codes')).toEqual([])
    })
  })

  test('is out of reach, after it was prepared again too, of those whom the data had put into the role', async () => {
    await using clone = await open('ann')
    await labScript(clone.instance, 'grant dblab_extensions to ann with admin option')
    await prepareBase(clone.instance, { database: 'postgres' })
    await giveUser(clone.instance, 'ann')
    const become = asUser(clone.instance, { user: 'ann' }, (query) => query('set role dblab_extensions'))
    await expect(become).rejects.toMatchObject({ code: '42501' })
    const owners = `select proowner::regrole::text as owner from pg_proc where proname = 'trusting'
      union all select relowner::regrole::text from pg_class where relname = 'part'`
    const kept = { owner: 'dblab_extensions' }
    expect(await labQuery(clone.instance, owners)).toEqual([kept, kept])
  })
})

test("a function of superusers' languages that the data closed stays closed, and runs as nobody but its caller", async () => {
  await using clone = await open('app')
  const kept = `select proowner::regrole::text as owner, prosecdef as definer from pg_proc where proname = 'closed'`
  expect(await labQuery(clone.instance, kept)).toEqual([{ owner: 'dblab', definer: false }])
  await asUser(clone.instance, { user: 'app' }, async (query) => {
    for (const sql of [
      `select closed('/etc/passwd')`,
      'grant execute on function closed(text) to app',
      'alter function closed(text) security definer',
      'alter function closed(text) owner to app',
      'alter extension hstore add function closed(text)',
    ])
      await expect(query(sql), sql).rejects.toMatchObject({ code: '42501' })
  })
})

test('a server of a wrapper that nobody knows makes no tables for users', async () => {
  await using clone = await open('app')
  const make = `create foreign table mine (line text) server host options (filename '/etc/passwd')`
  const made = asUser(clone.instance, { user: 'app' }, (query) => query(make))
  await expect(made).rejects.toMatchObject({ code: '42501' })
})

test("nobody puts a function among Postgres' own, which the lab's superuser would call, though the data allowed it", async () => {
  await using clone = await open('app')
  await asUser(clone.instance, { user: 'app' }, async (query) => {
    for (const schema of ['pg_catalog', 'information_schema']) {
      const trap = `create function ${schema}.current_setting(int) returns text language sql as 'select 1::text'`
      await expect(query(trap), schema).rejects.toMatchObject({ code: '42501' })
    }
  })
})

test('the lab reads its own statements as they stand, whatever a user has set for the database', async () => {
  await using clone = await open('ann')
  await asUser(clone.instance, { user: 'ann' }, (query) =>
    query('alter database postgres set standard_conforming_strings = off'),
  )
  // One character, and not two of which the first is lost.
  expect(await labQuery(clone.instance, String.raw`select length('\.') as characters`)).toEqual([{ characters: 2 }])
})
