import { describe, expect, test } from 'vitest'
import { connectTarget, SqlFactFinder, type SqlFacts } from './sql-facts.ts'

function factsOf(script: string): SqlFacts {
  const finder = new SqlFactFinder()
  finder.push(Buffer.from(script))
  finder.end()
  return finder.facts
}

describe('the facts of a script', () => {
  test.each([
    ['ALTER TABLE public.t OWNER TO alice;', ['alice']],
    ['ALTER FUNCTION public.f(a integer, OUT b text) OWNER TO "Al ""i"" ce";', ['Al "i" ce']],
    ['CREATE SCHEMA s AUTHORIZATION Bob;', ['bob']],
    [`SET SESSION AUTHORIZATION 'bob';`, ['bob']],
    ['SET SESSION AUTHORIZATION DEFAULT;', []],
    ['SET ROLE carol;', ['carol']],
    ['CREATE DATABASE d WITH OWNER = dora;', ['dora']],
    [`ALTER TABLE t ADD COLUMN owner text DEFAULT 'OWNER TO x';`, []],
  ])('name owners: %s', (script, owners) => {
    expect([...factsOf(script).owners]).toEqual(owners)
  })

  test.each([
    ['GRANT SELECT ON TABLE public.t TO bob, "Al ice" WITH GRANT OPTION;', ['bob', 'Al ice']],
    ['GRANT ALL ON SCHEMA public TO PUBLIC;', []],
    ['GRANT SELECT(a,b) ON TABLE t TO GROUP staff;', ['staff']],
    ['GRANT parent TO child GRANTED BY boss;', ['child', 'boss']],
    ['REVOKE ALL ON FUNCTION f() FROM PUBLIC;', []],
    ['REVOKE ALL ON t FROM bob;', ['bob']],
    ['ALTER DEFAULT PRIVILEGES FOR ROLE a, b IN SCHEMA s GRANT SELECT ON TABLES TO c;', ['a', 'b', 'c']],
    ['ALTER DEFAULT PRIVILEGES FOR ROLE a REVOKE ALL ON FUNCTIONS FROM PUBLIC;', ['a']],
    ['CREATE POLICY p ON t FOR SELECT TO x, CURRENT_USER, y USING (true);', ['x', 'y']],
    ['CREATE USER MAPPING FOR bob SERVER s;', ['bob']],
    [`ALTER ROLE bob IN DATABASE d SET work_mem TO '8MB';`, ['bob']],
  ])('name other roles: %s', (script, roles) => {
    expect([...factsOf(script).otherRoles]).toEqual(roles)
  })

  test('name roles that the script makes itself', () => {
    expect([...factsOf('CREATE ROLE a; CREATE USER b; CREATE USER MAPPING FOR c SERVER s;').createdRoles]).toEqual([
      'a',
      'b',
    ])
  })

  test('name extensions, with or without IF NOT EXISTS', () => {
    const { extensions } = factsOf(
      'CREATE EXTENSION citext; CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;',
    )
    expect([...extensions]).toEqual(['citext', 'uuid-ossp'])
  })

  test('name databases that are made, dropped and connected to', () => {
    const facts = factsOf(
      `DROP DATABASE old; DROP DATABASE IF EXISTS older;\nCREATE DATABASE "my shop" WITH ENCODING = 'UTF8';\n\\connect shop\n`,
    )
    expect([...facts.createdDatabases]).toEqual(['my shop'])
    expect([...facts.droppedDatabases]).toEqual(['old'])
    expect([...facts.connections]).toEqual(['shop'])
  })

  test.each([
    ['shop', 'shop'],
    ['"a b"', 'a b'],
    [`-reuse-previous=on "dbname='a b'"`, 'a b'],
    [`-reuse-previous=on "dbname='o\\'S ""x"" a=b'"`, `o'S "x" a=b`],
    ['dbname=shop', 'shop'],
  ])('understand \\connect %s', (argument, database) => {
    expect(connectTarget(argument)).toBe(database)
  })

  test('hold what pg_dump says about itself', () => {
    const { comments, restricted } = factsOf(
      '--\n-- PostgreSQL database dump\n--\n\n\\restrict k\n\n-- Dumped from database version 15.2 (Debian)\n-- Dumped by pg_dump version 16.1\n-- Started on 2026-01-02 03:04:05 UTC\n\n-- PostgreSQL database dump complete\n',
    )
    expect(restricted).toBe(true)
    expect(comments).toEqual({
      isDump: true,
      isClusterDump: false,
      complete: true,
      serverVersion: '15.2 (Debian)',
      toolVersion: '16.1',
      startedOn: '2026-01-02 03:04:05 UTC',
    })
  })

  test('hold the parameters and the encoding that the script sets', () => {
    const facts = factsOf(`SET transaction_timeout = 0;\nSET client_encoding = 'LATIN1';`)
    expect([...facts.parameters]).toEqual(['transaction_timeout', 'client_encoding'])
    expect(facts.clientEncoding).toBe('LATIN1')
  })

  test.each([
    ['CREATE SCHEMA public;', true],
    ['CREATE SCHEMA IF NOT EXISTS public;', false],
    ['CREATE SCHEMA sales;', false],
  ])('tell whether the schema public must not be there: %s', (script, createsPublic) => {
    expect(factsOf(script).createsPublic).toBe(createsPublic)
  })
})
