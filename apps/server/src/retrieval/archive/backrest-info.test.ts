import { expect, test } from 'vitest'
import { chooseBackup } from './backrest-info.ts'

const at = (time: string) => ({ stop: Date.parse(time) / 1000 })

/** In the order in which pgBackRest lists them. */
const BACKUPS = [
  { label: 'full', timestamp: at('2026-11-25T10:00:00Z'), lsn: { stop: '9/F0000100' } },
  { label: 'diff', timestamp: at('2026-11-26T10:00:00Z'), lsn: { stop: 'A/00000100' } },
  { label: 'incr', timestamp: at('2026-11-26T12:00:00Z'), lsn: { stop: '10/00000100' } },
]

test.each([
  [{ target: undefined }, 'incr'],
  [{ target: 'immediate' }, 'incr'],
  [{ target: { time: new Date('2026-11-26T12:00:00Z') } }, 'incr'],
  [{ target: { time: new Date('2026-11-26T11:59:59.999Z') } }, 'diff'],
  [{ target: { lsn: '10/00000100' } }, 'incr'],
  [{ target: { lsn: 'F/FFFFFFFF' } }, 'diff'],
  [{ target: { lsn: '9/f0000101' } }, 'full'],
  [{ set: 'full', target: undefined }, 'full'],
] as const)('for %o the backup is: %s', (choice, label) => {
  expect(chooseBackup(BACKUPS, { set: undefined, ...choice }).label).toBe(label)
})

test('a target before every backup is refused, and says where the oldest ends', () => {
  const target = { time: new Date('2026-11-25T09:00:00Z') }
  expect(() => chooseBackup(BACKUPS, { set: undefined, target })).toThrow(
    expect.objectContaining({
      code: 'INVALID',
      hint: expect.stringContaining('full, ended: 2026-11-25T10:00:00.000Z'),
    }),
  )
})

test('a label that the repository does not have is refused, and says which it has', () => {
  expect(() => chooseBackup(BACKUPS, { set: 'other', target: undefined })).toThrow(
    expect.objectContaining({ code: 'NOT_FOUND', hint: expect.stringContaining('incr, diff, full') }),
  )
})
