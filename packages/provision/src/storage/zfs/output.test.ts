import { expect, test } from 'vitest'
import { bytesOf, localPropertyOf, parsePool, parseProperties, parseTrouble, propertyOf } from './output.ts'

/** Printed by OpenZFS 2.3.2. */
const GET = `tank/lab\tdblab:lab\tl\tlocal
tank/lab\tmountpoint\t/tank/lab\tinherited from tank
tank/lab\twritten\t98304\t-
tank/lab/v\tdblab:lab\tl\tinherited from tank/lab
tank/lab/v\tdblab:labels\t{"a":"ü x"}\tlocal
tank/lab/v\twritten\t0\t-
`

test('properties are read by dataset, and only those set on it count as its own', () => {
  const datasets = parseProperties(GET)
  expect([...datasets.keys()]).toEqual(['tank/lab', 'tank/lab/v'])
  const [lab = new Map(), volume = new Map()] = datasets.values()
  expect(localPropertyOf(lab, 'dblab:lab')).toBe('l')
  expect(propertyOf(lab, 'mountpoint')).toBe('/tank/lab')
  expect(bytesOf(lab, 'written')).toBe(98304)
  expect(localPropertyOf(volume, 'dblab:lab')).toBeUndefined()
  expect(localPropertyOf(volume, 'dblab:labels')).toBe('{"a":"ü x"}')
})

test('no output is no datasets', () => {
  expect(parseProperties('').size).toBe(0)
})

test('an unknown form is an error', () => {
  const failed = expect.objectContaining({ code: 'FAILED' })
  expect(() => parseProperties('tank mountpoint /tank -\n')).toThrow(failed)
  expect(() => propertyOf(new Map(), 'mountpoint')).toThrow(failed)
  expect(() => bytesOf(new Map([['used', { value: '1.5G', local: false }]]), 'used')).toThrow(failed)
  expect(() => parsePool('1\t2\n')).toThrow(failed)
  expect(() => parsePool('1G\t2\t3\tONLINE\n')).toThrow(failed)
})

test('the facts of a pool are read', () => {
  expect(parsePool('4026531840\t983040\t4025548800\tONLINE\n')).toEqual({
    sizeBytes: 4026531840,
    allocatedBytes: 983040,
    freeBytes: 4025548800,
    health: 'ONLINE',
  })
})

test('a healthy pool has no trouble, and another’s is told in one line', () => {
  expect(parseTrouble("pool 'tank' is healthy\n")).toBe('')
  const status = `  pool: mm
 state: DEGRADED
status: One or more devices has been taken offline by the administrator.
\tSufficient replicas exist for the pool to continue functioning in a
\tdegraded state.
action: Online the device using 'zpool online' or replace the device with
\t'zpool replace'.
`
  expect(parseTrouble(status)).toBe(
    'One or more devices has been taken offline by the administrator. ' +
      'Sufficient replicas exist for the pool to continue functioning in a degraded state.',
  )
})
