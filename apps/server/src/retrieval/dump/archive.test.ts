import { describe, expect, test } from 'vitest'
import { oldestRestoreMajor, readArchiveHeader } from './archive-header.ts'
import { ArchiveListingReader } from './archive-listing.ts'

/** The first bytes of a custom dump by pg_dump 15.18 of a database named `postgres`. */
const captured = Buffer.from(
  '5047444d50010e000408010101000000001e0000000002000000000f0000000016000000000a000000007e00000000000000000008000000706f7374' +
    '67726573001e00000031352e3138202844656269616e2031352e31382d302b6465623132753129001e00000031352e3138202844656269616e203135' +
    '2e31382d302b646562313275312900dd',
  'hex',
)

function header(minor: number, compression: number[]): Buffer {
  const integer = (value: number): number[] => [value < 0 ? 1 : 0, Math.abs(value), 0, 0, 0]
  const text = (value: string): number[] => [...integer(value.length), ...Buffer.from(value)]
  const clock = [30, 2, 15, 22, 10, 126, 0].flatMap(integer)
  const fixed = [...Buffer.from('PGDMP'), 1, minor, 0, 4, 8, 1]
  return Buffer.from([...fixed, ...compression, ...clock, ...text('shop'), ...text('15.2'), ...text('16.1')])
}

describe('the header of an archive', () => {
  test('names the database, the versions and the time', () => {
    expect(readArchiveHeader(header(14, [1, 1, 0, 0, 0]))).toEqual({
      version: { major: 1, minor: 14 },
      createdAt: { year: 2026, month: 11, day: 22, hour: 15, minute: 2, second: 30 },
      database: 'shop',
      serverVersion: '15.2',
      toolVersion: '16.1',
    })
  })

  test('is read from what pg_dump 15 wrote', () => {
    expect(readArchiveHeader(captured)).toEqual({
      version: { major: 1, minor: 14 },
      createdAt: { year: 2026, month: 11, day: 22, hour: 15, minute: 2, second: 30 },
      database: 'postgres',
      serverVersion: '15.18 (Debian 15.18-0+deb12u1)',
      toolVersion: '15.18 (Debian 15.18-0+deb12u1)',
    })
  })

  test('is laid out in another way since format 1.15', () => {
    expect(readArchiveHeader(header(16, [1]))).toMatchObject({ database: 'shop', toolVersion: '16.1' })
  })

  test('of an unknown format says its version and no more', () => {
    expect(readArchiveHeader(header(99, []))).toEqual({
      version: { major: 1, minor: 99 },
      createdAt: undefined,
      database: '',
      serverVersion: undefined,
      toolVersion: undefined,
    })
  })

  test.each([6, 12, 20, 40, 60])('that is cut after %d bytes is none', (length) => {
    expect(readArchiveHeader(header(14, [1, 1, 0, 0, 0]).subarray(0, length))).toBeUndefined()
  })

  test('of something else is none', () => {
    expect(readArchiveHeader(Buffer.from('-- a script that is long enough'))).toBeUndefined()
  })

  test.each([
    [13, 12],
    [14, 12],
    [15, 16],
    [16, 17],
    [17, 19],
  ])('of format 1.%d needs pg_restore %d', (minor, major) => {
    expect(oldestRestoreMajor({ major: 1, minor })).toBe(major)
  })
})

describe('the listing of an archive', () => {
  test('counts the tables that bring data, and no other entry', () => {
    const output = `;
; Archive created at 2026-11-22 15:02:30 UTC
;     dbname: postgres
;     TOC Entries: 221
;     Dump Version: 1.14-0
;
; Selected TOC Entries:
;
6; 2615 16864 SCHEMA - x bob
218; 1259 16421 TABLE public actor Al ice
3725; 0 0 ACL public TABLE DATA dblab
3680; 0 16421 TABLE DATA public actor Al ice
3684; 0 16432 TABLE DATA public TABLE DATA x dblab
3735; 0 0 SEQUENCE SET public payment_payment_id_seq dblab
`
    for (const pieceLength of [1, 7, output.length]) {
      const reader = new ArchiveListingReader()
      for (let at = 0; at < output.length; at += pieceLength) {
        reader.push(Buffer.from(output.slice(at, at + pieceLength)))
      }
      expect(reader.listing()).toEqual({ tables: 2, restored: undefined, leftOut: [] })
    }
  })

  test('leaves out what would have the restore connect to other servers, and nothing else', () => {
    const output = `;
; Selected TOC Entries:
;
3725; 0 0 ENCODING - ENCODING 
2; 3079 16385 EXTENSION - postgres_fdw 
212; 1417 16400 USER MAPPING - USER MAPPING PUBLIC SERVER far alice
;	depends on: 211
213; 1259 16402 FOREIGN TABLE public remote alice
;	depends on: 211
214; 1259 16405 VIEW public between alice
;	depends on: 213
215; 1259 16410 MATERIALIZED VIEW public totals alice
;	depends on: 214
216; 1259 16414 MATERIALIZED VIEW public own alice
;	depends on: 217
217; 1259 16418 TABLE public VIEW alice
3330; 0 16410 MATERIALIZED VIEW DATA public totals alice
;	depends on: 215 3331
3331; 0 16414 MATERIALIZED VIEW DATA public own alice
;	depends on: 216 3331
`
    for (const pieceLength of [1, 7, output.length]) {
      const reader = new ArchiveListingReader()
      for (let at = 0; at < output.length; at += pieceLength) {
        reader.push(Buffer.from(output.slice(at, at + pieceLength)))
      }
      expect(reader.listing()).toEqual({
        tables: 0,
        restored: [3725, 2, 213, 214, 215, 216, 217, 3331],
        leftOut: [
          'removed: user mapping of PUBLIC for far',
          'left empty, since it reads foreign tables: the materialized view public.totals',
        ],
      })
    }
  })
})
