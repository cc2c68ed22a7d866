import { expect, test } from 'vitest'
import { exclusiveBytes, usedBytes } from './btrfs.ts'

// Captured of btrfs-progs 6.2.
const DU = `     Total   Exclusive  Set shared  Filename
  73969664      151552    73818112  /lab/pool/volumes/c1/files
`
const DF = `Data, single: total=1082130432, used=98566144
System, DUP: total=8388608, used=16384
Metadata, DUP: total=268435456, used=1245184
GlobalReserve, single: total=5767168, used=0
`

test('what a tree alone holds is the second figure of du', () => {
  expect(exclusiveBytes(DU)).toBe(151_552)
  expect(() => exclusiveBytes('ERROR: no such file')).toThrow('du')
})

test('what data and metadata take is told by df, without a second copy', () => {
  expect(usedBytes(DF)).toEqual({ data: 98_566_144, metadata: 1_245_184 })
  expect(() => usedBytes('')).toThrow('df')
})
