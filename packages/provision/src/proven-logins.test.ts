import { expect, test } from 'vitest'
import { type LoginCase, ProvenLogins } from './proven-logins.ts'

const FIRST: LoginCase = {
  origin: { volumeId: 'base', snapshotId: 'one' },
  database: 'shop',
  username: 'alice',
  role: 'taken',
  byName: true,
}

test('a login shows it for all clones of the snapshot, and for the name; for another name the rules are tried', () => {
  const proven = new ProvenLogins()
  expect(proven.missing(FIRST)).toBe('login')
  proven.note(FIRST, 'login')
  expect(proven.missing(FIRST)).toBe('none')
  expect(proven.missing({ ...FIRST, username: 'bob' })).toBe('challenge')
  proven.note({ ...FIRST, username: 'bob' }, 'challenge')
  expect(proven.missing({ ...FIRST, username: 'bob' })).toBe('none')
})

test('another snapshot, another database and a role of the data are tried by a login', () => {
  const proven = new ProvenLogins()
  proven.note(FIRST, 'login')
  for (const other of [
    { origin: { volumeId: 'base', snapshotId: 'two' } },
    { database: 'stock' },
    { role: 'made' },
  ] as const)
    expect(proven.missing({ ...FIRST, ...other })).toBe('login')
  proven.note({ ...FIRST, role: 'made' }, 'login')
  expect(proven.missing({ ...FIRST, role: 'made' })).toBe('none')
  expect(proven.missing({ ...FIRST, role: 'made', username: 'bob' })).toBe('login')
})

test('who is let in by a role shows nothing of a name, and needs none', () => {
  const proven = new ProvenLogins()
  const byRole = { ...FIRST, byName: false }
  proven.note(byRole, 'login')
  expect(proven.missing({ ...byRole, username: 'bob' })).toBe('none')
  expect(proven.missing(FIRST)).toBe('challenge')
})

test('a challenge shows nothing of the database', () => {
  const proven = new ProvenLogins()
  proven.note(FIRST, 'challenge')
  expect(proven.missing(FIRST)).toBe('login')
})
