import { expect, test } from 'vitest'
import { exclusiveBytes, metadataUsed } from './btrfs.ts'

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

test('what the metadata take is told by df, without their second copy', () => {
  expect(metadataUsed(DF)).toBe(1_245_184)
  expect(() => metadataUsed('')).toThrow('df')
})
