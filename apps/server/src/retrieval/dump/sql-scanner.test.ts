import { describe, expect, test } from 'vitest'
import { type ScriptEnd, SqlScanner } from './sql-scanner.ts'

interface Scanned {
  end: ScriptEnd
  found: string[]
}

function scan(script: string, chunkBytes = 1 << 20): Scanned {
  const found: string[] = []
  const scanner = new SqlScanner({
    statement: (text) => found.push(text),
    comment: (text) => found.push(`-- ${text}`),
    metaCommand: (line) => found.push(line),
  })
  const bytes = Buffer.from(script)
  for (let at = 0; at < bytes.length; at += chunkBytes) scanner.push(bytes.subarray(at, at + chunkBytes))
  return { end: scanner.end(), found }
}

const everything = `\\restrict abc
-- PostgreSQL database dump
SET client_encoding = 'UTF8'; -- trailing
CREATE TABLE "a;b" (id int, /* ; /* nested ; */ */ s text DEFAULT 'x;''y');
CREATE FUNCTION f() RETURNS text AS $_$ SELECT ';'; GRANT a TO b; $_$ LANGUAGE sql;
CREATE FUNCTION g() AS $$ $1; $x$ ; $x$ $$;
SELECT E'it\\'s; \\\\', 'C:\\';
SELECT a$b$c; SELECT 1;
COPY "a;b" (id, s) FROM stdin;
1\tGRANT x TO y;
\\.x
2\tends in a backslash \\\\
\\\\.
3\t-- 'open "quotes $$ /*
\\.

\\connect shop
COPY empty FROM STDIN WITH (FORMAT csv);
\\.
COPY t TO stdout;
GRANT "Größe" TO bob;
-- PostgreSQL database dump complete
`

describe('a scan of a script', () => {
  test('finds statements, comments and psql commands, and nothing in data or bodies', () => {
    const { end, found } = scan(everything)
    expect(end).toBe('complete')
    expect(found.map((text) => text.replaceAll(/\s+/g, ' '))).toEqual([
      '\\restrict abc',
      '-- PostgreSQL database dump',
      "SET client_encoding = 'UTF8'",
      '-- trailing',
      `CREATE TABLE "a;b" (id int, s text DEFAULT 'x;''y')`,
      'CREATE FUNCTION f() RETURNS text AS $_$$_$ LANGUAGE sql',
      'CREATE FUNCTION g() AS $$$$',
      "SELECT E'it\\'s; \\\\', 'C:\\'",
      'SELECT a$b$c',
      'SELECT 1',
      'COPY "a;b" (id, s) FROM stdin',
      '\\connect shop',
      'COPY empty FROM STDIN WITH (FORMAT csv)',
      'COPY t TO stdout',
      'GRANT "Größe" TO bob',
      '-- PostgreSQL database dump complete',
    ])
  })

  test('finds the same wherever its chunks are cut', () => {
    const whole = scan(everything)
    for (let chunkBytes = 1; chunkBytes <= 300; chunkBytes++) expect(scan(everything, chunkBytes)).toEqual(whole)
  })

  test('takes carriage returns before the end of COPY data', () => {
    expect(scan('COPY t FROM stdin;\r\n1\r\n\\.\r\nSELECT 1;\r\n')).toEqual({
      end: 'complete',
      found: ['COPY t FROM stdin', 'SELECT 1'],
    })
  })

  test('reads backslashes in plain literals once standard_conforming_strings is off', () => {
    const { found } = scan(`SET standard_conforming_strings = off; SELECT 'a\\';b'; SELECT 2;`)
    expect(found.slice(1)).toEqual(["SELECT 'a\\';b'", 'SELECT 2'])
  })

  test('knows the data of \\copy', () => {
    expect(scan('\\copy t from stdin\n1;\n\\.\nSELECT 1;').found).toEqual(['\\copy t from stdin', 'SELECT 1'])
  })

  test('keeps the beginning of a long statement and goes on after it', () => {
    const { found } = scan(`INSERT INTO t VALUES ('${'x;'.repeat(100_000)}');\nSELECT 1;`, 1000)
    expect(found).toHaveLength(2)
    expect(found[0]?.length).toBeLessThan(20_000)
  })

  test('keeps no more of a statement that comments fill', () => {
    const { found } = scan(`SELECT 1${'/**/'.repeat(100_000)} + 1;\nSELECT 1;`, 1000)
    expect(found).toHaveLength(2)
    expect(found[0]?.length).toBeLessThan(20_000)
  })

  test.each([
    ['COPY t FROM stdin;\n1\n', 'in COPY data'],
    ['COPY t FROM stdin;\n1\n\\', 'in COPY data'],
    [`SELECT 'open`, 'in a quoted text'],
    [`SELECT E'open\\'`, 'in a quoted text'],
    ['SELECT "open', 'in a quoted text'],
    ['SELECT $a$ open $b$', 'in a quoted text'],
    ['/* open /* */', 'in a comment'],
    ['CREATE TABLE t (', 'in a statement'],
    ['SELECT 1;\n-- last', 'complete'],
    ['COPY t FROM stdin;\n\\.', 'complete'],
    ['', 'complete'],
  ])('says where %j ends', (script, end) => {
    expect(scan(script).end).toBe(end)
  })
})
