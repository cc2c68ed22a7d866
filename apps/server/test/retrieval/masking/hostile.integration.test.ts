import { IMPORT_ROLE } from '@dblab/provision'
import { describe, expect, test } from 'vitest'
import type { Cluster } from '../cluster.ts'
import { majorsUnderTest, mask, maskableCluster, shopWith } from './world.ts'

const majors = await majorsUnderTest()

/**
 * Notes, on tables that are open to everybody, where it was run, and by whom; and whether it is a superuser or could become one, by what
 * the session is or by what it leaves behind.
 */
const trace = [
  'create table traces (place text, who name, super bool)',
  'create table armed (now bool)',
  'grant all on traces, armed to public',
  `create function is_super() returns bool language sql as $$ select rolsuper from pg_catalog.pg_roles where rolname = current_user $$`,
  `create function try(statement text) returns text language plpgsql as $$ begin
     execute statement;
     return 'done';
   exception when others then return sqlstate;
   end $$`,
  // A program, where it is allowed to run one; the superuser again, where it can be.
  `create function note(place text) returns bool language plpgsql as $$ declare super bool := public.is_super(); begin
     if not exists (select from public.armed) then return true; end if;
     insert into public.traces values (place, current_user, super);
     if super or pg_catalog.pg_has_role(current_user, 'pg_execute_server_program', 'usage') then execute format('copy (select 1) to program %L', 'cat > ' || current_setting('data_directory') || '/trace'); end if;
     perform public.try('reset role'), public.try('set role none'), public.try('set role ' || quote_ident(session_user)),
       public.try('set session authorization default'), public.try('reset session authorization'),
       public.try(format('alter role %I superuser', current_user)), public.try(format('grant pg_execute_server_program to %I', current_user));
     if public.is_super() then insert into public.traces values (place || ', become one', current_user, true); end if;
     return true;
   end $$`,
  `create function noting(place text, v text) returns text immutable language plpgsql as $$ begin perform public.note(place); return v; end $$`,
  `create function noting_all(place text, v text) returns text immutable language plpgsql security definer as $$ begin perform public.note(place); return v; end $$`,
  // What is left for the superuser to run.
  `create function tg() returns trigger language plpgsql as $$ begin perform public.note('deferred trigger'); return null; end $$`,
  'create table deferring (id int)',
  'grant all on deferring to public',
  'create constraint trigger late after insert on deferring deferrable initially deferred for each row execute function tg()',
  'alter table deferring enable always trigger late',
  'create table later (id int)',
  'create constraint trigger late_too after insert on later deferrable initially deferred for each row execute function tg()',
  `create function leave_more() returns bool language plpgsql security definer as $$ begin
     if not exists (select from public.armed) then return true; end if;
     insert into public.traces values ('altering: ' || public.try('alter table public.later enable always trigger late_too'), current_user, public.is_super());
     insert into public.later values (1);
     return true;
   end $$`,
  'create schema evil',
  'grant all on schema evil to public',
  `create function evil.format(text, name, name) returns text language sql as $$ select case when public.note('function in the path') then '' end $$`,
  `create function evil.equal(oid, oid) returns bool language sql as $$ select public.note('operator in the path') $$`,
  'create operator evil.= (function = evil.equal, leftarg = oid, rightarg = oid)',
  `create function evil.version() returns text language sql as $$ select public.note('view in the path')::text $$`,
  'create view evil.pg_index as select * from pg_catalog.pg_index where evil.version() is not null',
  `create function leave() returns bool language plpgsql as $$ begin
     if not exists (select from public.armed) then return true; end if;
     insert into public.traces select 'leaving', current_user, public.is_super() where not exists (select from public.traces where place = 'leaving');
     insert into public.deferring values (1);
     perform public.try($q$declare held cursor with hold for select public.note('cursor')$q$);
     perform public.try($q$create temp view pg_index as select *, public.note('temporary view') from pg_catalog.pg_index$q$);
     perform public.try($q$create temp table t (a int); create trigger t after insert on t execute function tg()$q$);
     perform pg_catalog.set_config('search_path', 'evil, pg_catalog', false);
     perform pg_catalog.set_config('standard_conforming_strings', 'off', false);
     return true;
   end $$`,
]

const hostile = [
  `create domain word as text check (noting('domain', value) is not null)`,
  `create function word_text(word) returns text language sql immutable as $$ select 'x' $$`,
  `create type mood as enum ('fine')`,
  `create function mood_text(mood) returns text language plpgsql as $$ begin perform public.note('cast'); return 'x'; end $$`,
  'create cast (mood as text) with function mood_text(mood)',
  `create table person (
     id int primary key, a text check (note('check')), b word, made text generated always as (noting('generated column', a)) stored,
     c text check (noting_all('definer', c) is not null), d text check (leave()), feeling mood, f text, g text check (leave_more()), constraint closed check (closed(f))
   )`,
  `create index on person (noting('index', a))`,
  `create table visit (person int references person, word word)`,
  `insert into person (id, a, b, c, d, feeling, f) select i, 'a' || i, 'b', 'c', 'd', 'fine', 'f' from generate_series(1, 3) i`,
  `insert into visit values (1, 'x'), (2, 'y')`,
  `create materialized view seen as select noting('materialized view', a) as a from person`,
  'create index on seen (a)',
]

const rules = [
  { table: 'public.person', column: 'id', hash: true },
  { table: 'public.person', column: 'a', fake: 'name' },
  { table: 'public.person', column: 'b', constant: 'x' },
  { table: 'public.person', column: 'c', shuffle: true },
  { table: 'public.person', column: 'd', null: true },
  { table: 'public.person', column: 'f', hash: true },
]

/** As `role`, which owns all of it. */
async function fill(cluster: Cluster, role: string): Promise<void> {
  await shopWith(cluster, [
    `grant create on database shop to ${role}; grant all on schema public to ${role}`,
    ...trace.map((statement) => `set role ${role}; ${statement}`),
    // Not everybody may call it, but the constraint does.
    `set role ${role}; create function closed(v text) returns bool language sql as $$ select true $$; revoke all on function closed from public`,
    ...hostile.map((statement) => `set role ${role}; ${statement}`),
    'insert into armed values (true)',
  ])
}

const PLACES = [
  'altering: 42501',
  'cast',
  'check',
  'definer',
  'domain',
  'generated column',
  'index',
  'leaving',
  'materialized view',
]

describe.each(majors)('code of the data in PostgreSQL $version', (binaries) => {
  test.each([
    { whose: 'an ordinary role', role: 'app', make: 'create role app' },
    {
      whose: 'a role that makes roles, and may run programs',
      role: 'app',
      make: 'create role app createrole; grant pg_execute_server_program to app',
    },
    { whose: 'the role of an import', role: IMPORT_ROLE, make: `create role ${IMPORT_ROLE} superuser` },
  ])('is no superuser while it is masked, and can not become one, where $whose owns it', async ({ role, make }) => {
    await using cluster = await maskableCluster(binaries)
    await cluster.query('postgres', make)
    await fill(cluster, role)
    const before = await cluster.query(
      'shop',
      `select proacl, relacl from pg_proc, pg_class where proname = 'closed' and relname = 'person'`,
    )
    const result = await mask(cluster, { rules, coverage: { mode: 'warn' } })
    expect(result.tables).toBe(2)
    const traces = await cluster.query<{ place: string }>(
      'shop',
      'select distinct place, super from public.traces order by 1',
    )
    const places = traces.map(({ place }) => place)
    expect(traces.filter((each) => 'super' in each && each.super)).toEqual([])
    expect(places).toEqual(expect.arrayContaining(PLACES))
    const [left] = await cluster.query(
      'shop',
      `select (pg_stat_file('trace', true)).size as trace, (select count(*)::int from pg_roles where rolname ~ '^dblab_masking') as roles,
         (select count(*)::int from pg_event_trigger) as triggers, (select tgenabled from pg_trigger where tgname = 'late') as late,
         (select count(*)::int from public.person where a ~ '^a') as old, (select rolsuper from pg_roles where rolname = '${role}') as super`,
    )
    expect(left).toEqual({
      trace: null,
      roles: 0,
      triggers: 0,
      late: 'A',
      old: expect.any(Number),
      super: role === IMPORT_ROLE,
    })
    expect(
      await cluster.query(
        'shop',
        `select proacl, relacl from pg_proc, pg_class where proname = 'closed' and relname = 'person'`,
      ),
    ).toEqual(before)
  })
})
