import { createImportRole, IMPORT_ROLE, type Instance } from '../../src/postgres/index.ts'
import { labQuery, labScript } from './cluster.ts'

/** What a dump of a real database brings, and then some: made as an import makes it, with owners of all sorts. */
export async function fillAsImport(instance: Instance): Promise<void> {
  await createImportRole(instance)
  await labScript(
    instance,
    `create role app login password 'SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
     create role boss superuser createrole replication bypassrls login connection limit 0 valid until '2001-01-01';
     create role "odd ""role""" nologin;
     grant pg_execute_server_program, pg_read_server_files to app with admin option;
     grant dblab to boss;
     grant execute on function pg_read_file(text) to app;
     grant execute on function pg_ls_dir(text) to public;
     alter database postgres set default_transaction_read_only = on`,
  )
  const objects = `
    create schema sales; create schema "Odd Schema" authorization "odd ""role""";
    create table sales.orders (id serial primary key, gen int generated always as identity, total numeric);
    create table sales.parts (id int, day date) partition by range (day);
    create table sales.parts_1 partition of sales.parts for values from ('2024-01-01') to ('2025-01-01');
    create view sales.big as select * from sales.orders where total > 10;
    create materialized view sales.sums as select sum(total) from sales.orders;
    create sequence sales.free;
    create type sales.mood as enum ('sad', 'ok');
    create type sales.pair as (a int, b text);
    create type sales.span as range (subtype = int);
    create domain sales.positive as int check (value > 0);
    create function sales.add(a int, b int) returns int language sql as 'select a + b';
    create procedure sales.noop() language sql as 'select 1';
    create aggregate sales.total(int) (sfunc = int4pl, stype = int, initcond = '0');
    create function sales.built_in(int) returns int language internal as 'int4abs';
    create operator sales.<+> (leftarg = int, rightarg = int, function = sales.add);
    create collation sales.plain from "C";
    create text search configuration sales.words (copy = simple);
    create text search dictionary sales.dict (template = simple);
    create statistics sales.stats on id, day from sales.parts;
    create operator family sales.fam using btree;
    create foreign data wrapper nothing; create server away foreign data wrapper nothing;
    create foreign table sales.far (id int) server away;
    create publication everything for all tables; create publication parts for table sales.orders;
    create function sales.on_ddl() returns event_trigger language plpgsql as 'begin end';
    create event trigger watch on ddl_command_end execute function sales.on_ddl();
    alter event trigger watch enable always;
    create table public.t (id int primary key, name text); alter table public.t owner to app;
    create table "Odd Schema"."Odd "" Table" (a int); alter table "Odd Schema"."Odd "" Table" owner to "odd ""role""";
    alter table public.t enable row level security;
    alter default privileges in schema sales grant select on tables to app;
    select lo_create(0), lo_create(0);
    insert into sales.orders (total) select generate_series(1, 20)`
  await labScript(instance, `set default_transaction_read_only = off; ${objects}`, 'postgres', IMPORT_ROLE)
  // And what somebody made by hand as the bootstrap role.
  await labScript(
    instance,
    `create table public.by_lab (id int); create function public.f() returns int language sql as 'select 1'`,
  )
  for (const name of ['pg_trgm', 'file_fdw', 'dblink', 'adminpack']) {
    const available = await labQuery(instance, `select 1 from pg_available_extensions where name = '${name}'`)
    if (available.length === 0) continue
    const schema = name === 'adminpack' ? 'pg_catalog' : 'public'
    await labScript(instance, `create extension ${name} schema ${schema}`, 'postgres', IMPORT_ROLE)
  }
}
