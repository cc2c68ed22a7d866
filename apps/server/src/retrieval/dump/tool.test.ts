import { describe, expect, test } from 'vitest'
import { isLost } from '../live/tool.ts'
import { lastProblem, ToolMessages } from '../tools/tool-messages.ts'
import { checkInnerCompression, knowsRestrict, needPgRestore, needPsql } from './client-tool.ts'
import { dataStateAt, fromWallClock, parseStartedOn } from './data-time.ts'

const tool = (version: string) => ({ path: '/usr/bin/x', version, major: Number.parseInt(version, 10) })

describe('the client program for a dump', () => {
  test.each([
    ['13.21', false],
    ['13.22', true],
    ['14.18', false],
    ['14.19', true],
    ['15.13', false],
    ['15.14', true],
    ['16.9', false],
    ['16.10', true],
    ['17.5', false],
    ['17.6', true],
    ['18beta3', true],
    ['18.0', true],
    ['12.22', false],
  ])('psql %s knows \\restrict: %s', (version, known) => {
    expect(knowsRestrict(version)).toBe(known)
  })

  test('is refused with the package that brings it, where there is none', () => {
    expect(() => needPsql({}, { path: '/d.sql', restricted: false })).toThrow(
      expect.objectContaining({ code: 'UNAVAILABLE', hint: expect.stringContaining('postgresql-client') }),
    )
    expect(() => needPgRestore({}, { path: '/d', format: '1.16', minimumMajor: 17 })).toThrow(
      expect.objectContaining({ code: 'UNAVAILABLE', hint: expect.stringContaining('postgresql-client-17') }),
    )
  })

  test('is refused where it is too old', () => {
    const archive = { path: '/d', format: '1.16', minimumMajor: 17 }
    expect(() => needPgRestore({ pg_restore: tool('15.18') }, archive)).toThrow(
      /format 1\.16.*needs pg_restore 17.*15\.18/,
    )
    expect(() => needPsql({ psql: tool('15.2') }, { path: '/d', restricted: true })).toThrow(/restrict/)
    expect(needPsql({ psql: tool('15.2') }, { path: '/d', restricted: false }).version).toBe('15.2')
  })
})

describe('data that pg_restore was built without the compression of', () => {
  const path = '/d'

  test.each([
    [
      'are refused with the method',
      'pg_restore: warning: archive is compressed, but this installation does not support compression (this build does not support compression with ZSTD) -- no data will be available',
      'the data in /d are compressed with ZSTD, which pg_restore 17.2 (/usr/bin/x) was built without',
    ],
    [
      'are refused where an older one does not name it',
      'pg_restore: warning: archive is compressed, but this installation does not support compression -- no data will be available',
      'the data in /d are compressed, which pg_restore 17.2 (/usr/bin/x) was built without',
    ],
  ])('%s', (_title, warning, message) => {
    expect(() => checkInnerCompression(tool('17.2'), path, ['pg_restore: x', warning])).toThrow(
      expect.objectContaining({ code: 'UNAVAILABLE', message, hint: expect.stringContaining('--compress=0') }),
    )
  })

  test('are not what any other warning is about', () => {
    checkInnerCompression(tool('17.2'), path, ['pg_restore: warning: invalid creation date in header'])
  })
})

describe('the errors of a tool', () => {
  test('of psql keep the line and the place, and drop the values', () => {
    const lines = [
      'psql:<stdin>:5: ERROR:  22P02: invalid input syntax for type integer: "secret"',
      'CONTEXT:  COPY a, line 2, column i: "secret"',
      'psql:<stdin>:9: ERROR:  23505: duplicate key value violates unique constraint "a_pkey"',
      'DETAIL:  Key (i)=(1) already exists.',
      'LINE 1: insert into a values (secret)',
    ]
    expect(lastProblem(lines)).toBe(
      'line 5: invalid input syntax for type integer (COPY a, line 2); line 9: duplicate key value violates unique constraint "a_pkey"',
    )
  })

  test("of pg_restore keep the server's words, and drop the command", () => {
    const lines = [
      'pg_restore: while PROCESSING TOC:',
      'pg_restore: from TOC entry 6; 2615 16864 SCHEMA x bob',
      'pg_restore: error: could not execute query: ERROR:  schema "x" already exists',
      'Command was: CREATE SCHEMA x;',
      'pg_restore: error: COPY failed for table "actor": ERROR:  duplicate key value violates unique constraint "actor_pkey"',
      'DETAIL:  Key (actor_id)=(1) already exists.',
      'CONTEXT:  COPY actor, line 1',
    ]
    expect(lastProblem(lines)).toBe(
      'schema "x" already exists; COPY failed for table "actor": ERROR:  duplicate key value violates unique constraint "actor_pkey" (COPY actor, line 1)',
    )
  })

  test('of two parts that write into one line are known', () => {
    const messages = new ToolMessages()
    messages.add('pg_basebackup:pg_basebackup: error: could not open write-ahead log file "1": No space left on device')
    messages.add(' error: could not write to file "2": No space left on device')
    expect(messages.summary()).toBe('could not open write-ahead log file "1": No space left on device')
    expect(messages.say(/"2": No space left/)).toBe(true)
    expect(messages.say(/connection/)).toBe(false)
  })

  test.each([
    ['psql:<stdin>:5: ERROR:  P0001: address 1 Secret Street', 'line 5: SQLSTATE P0001, '],
    ['psql:<stdin>:5: ERROR:  address 1 Secret Street', 'line 5: an error, '],
    ['psql:<stdin>:5: ERROR:  42601: syntax error at or near "secret"', 'line 5: syntax error'],
    ['psql:<stdin>:5: ERROR:  P0001: permission denied for alice@secret.example', 'line 5: permission denied'],
    ['psql:<stdin>:5: ERROR:  P0001: role secret@example.com does not exist', 'line 5: SQLSTATE P0001, '],
    ['psql:<stdin>:5: error: invalid command \\Nsecret', 'line 5: invalid command'],
    ['pg_restore: error: COPY failed for table "a": ERROR:  address 1 Secret Street', 'COPY failed for table "a": '],
    ['pg_restore: error: could not execute query: ERROR:  address 1 Secret Street', 'an error'],
    ['pg_dump: detail: Error message from server: ERROR:  address 1 Secret Street', 'Error message from server: '],
  ])('show nothing that a function of the data could have put there: %s', (line, told) => {
    expect(lastProblem([line])).toContain(told)
    expect(lastProblem([line])).not.toMatch(/secret/i)
  })

  test.each([
    'extension "postgis" is not available',
    'type "public.mood" does not exist',
    'function public.f(integer, text[]) does not exist',
    'permission denied for table actor',
    'relation "a" already exists',
    'out of shared memory',
    'could not extend file "base/16384/16385": No space left on device',
    'could not access file "$libdir/postgis-3": No such file or directory',
    'insert or update on table "a" violates foreign key constraint "a_b"',
    'canceling statement due to lock timeout',
    'collation "de_DE" for encoding "UTF8" does not exist',
  ])('keep what is known to quote nothing: %s', (sentence) => {
    expect(lastProblem([`pg_restore: error: could not execute query: ERROR:  ${sentence}`])).toBe(sentence)
  })

  test('say what of the archive an error was at', () => {
    const lines = [
      'pg_restore: from TOC entry 3680; 2606 16421 CHECK CONSTRAINT public actor valid alice',
      'pg_restore: error: could not execute query: ERROR:  address 1 Secret Street',
    ]
    expect(lastProblem(lines)).toBe(
      'an error at "CHECK CONSTRAINT public actor valid alice", whose text may quote the data and is left out',
    )
  })

  test('tell of a lost server only where a worker has not ended by an error of its own', () => {
    const lost = (...errors: string[]) => {
      const messages = new ToolMessages()
      for (const error of errors) messages.add(`pg_restore: error: ${error}`)
      return isLost(messages)
    }
    const died = 'a worker process died unexpectedly'
    expect(lost(died)).toBe(true)
    expect(lost('COPY failed for table "a": ERROR:  division by zero', died)).toBe(false)
    expect(lost('server closed the connection unexpectedly', died)).toBe(true)
    expect(lost()).toBe(false)
  })

  test('are bounded', () => {
    const lines = Array.from(
      { length: 50 },
      (_, index) => `psql:<stdin>:${index}: ERROR:  relation "${'x'.repeat(5000)}" does not exist`,
    )
    expect(lastProblem(lines).length).toBeLessThan(1100)
    expect(lastProblem(lines)).toContain('line 49')
  })

  test('that say nothing are told as that', () => {
    expect(lastProblem([])).toBe('it gave no reason')
  })
})

describe('the time of the data', () => {
  test.each([
    ['2026-01-02 03:04:05 UTC', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02 03:04:05 +03', '2026-01-02T00:04:05.000Z'],
    ['2026-01-02 03:04:05 -0330', '2026-01-02T06:34:05.000Z'],
  ])('is read from %s', (text, iso) => {
    expect(parseStartedOn(text)?.toISOString()).toBe(iso)
  })

  test('is unknown where nothing is said of it', () => {
    expect(parseStartedOn('')).toBeUndefined()
    expect(fromWallClock(undefined)).toBeUndefined()
  })

  test('is that of the file where the dump names a later one', () => {
    const file = new Date('2026-01-01T00:00:00Z')
    expect(dataStateAt(new Date('2026-01-01T02:00:00Z'), file)).toBe(file)
    expect(dataStateAt(undefined, file)).toBe(file)
  })
})
