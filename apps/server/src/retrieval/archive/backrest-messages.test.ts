import { expect, test } from 'vitest'
import { BackRestMessages } from './backrest-messages.ts'

/** As pgBackRest 2.45 wrote them, with and without the time. */
const MISSING = [
  "2026-11-26 18:10:00.123 P00   WARN: repo1: [FileMissingError] unable to load info file '/repo/archive.info'",
  "      FileMissingError: unable to open missing file '/repo/archive.info' for read",
  '      HINT: is archive_command configured correctly in postgresql.conf?',
  "ERROR: [055]: unable to load info file '/repo/backup.info' or '/repo/backup.info.copy':",
  "       FileMissingError: unable to open missing file '/repo/backup.info' for read",
  '       HINT: backup.info cannot be opened and is required to perform a backup.',
  '       HINT: has a stanza-create been performed?',
]

test('what pgBackRest says of its last error is told in one line, and its advice apart from it', () => {
  const messages = new BackRestMessages()
  for (const line of MISSING) messages.add(line)
  expect(messages.code).toBe(55)
  expect(messages.summary()).toBe(
    "unable to load info file '/repo/backup.info' or '/repo/backup.info.copy':; FileMissingError: unable to open missing file '/repo/backup.info' for read",
  )
  expect(messages.advice()).toBe(
    'backup.info cannot be opened and is required to perform a backup. has a stanza-create been performed?',
  )
})

test('a program that says nothing is told as such', () => {
  expect(new BackRestMessages().summary()).toBe('it gave no reason')
})

test('a secret at the place where a line is cut leaves nothing of itself', () => {
  const messages = new BackRestMessages((text) => text.replaceAll('a-secret-of-many-letters', '[removed]'))
  messages.add(`P00  ERROR: [103]: ${'x'.repeat(290)}a-secret-of-many-letters and more`)
  expect(messages.summary()).toMatch(/^x{290}\[removed\] …$/)
})
