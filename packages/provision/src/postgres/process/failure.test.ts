import { expect, test } from 'vitest'
import { spaceError } from '../space.ts'
import { portIsTaken, statusNotWritten } from './failure.ts'

const at = '2026-03-01 10:00:00.000 UTC [12]'

test('the postmaster alone says that its port is taken', () => {
  expect(portIsTaken([`${at} LOG:  could not bind IPv4 address "127.0.0.1": Address already in use`])).toBe(true)
  expect(portIsTaken([`${at} LOG:  could not bind IPv6 address "::1": Address already in use`])).toBe(true)
})

test('a server that could not write its status will not be heard from', () => {
  const ready = `${at} LOG:  database system is ready to accept connections`
  const full = `${at} LOG:  could not write to file "postmaster.pid": No space left on device`
  expect(statusNotWritten([ready])).toBeUndefined()
  expect(statusNotWritten([ready, full])).toMatchObject({ code: 'NO_SPACE' })
  const broken = `${at} LOG:  could not write to file "postmaster.pid": Input/output error`
  expect(statusNotWritten([ready, broken])).toMatchObject({
    code: 'FAILED',
    message: expect.stringContaining('Input/'),
  })
  const said = `${at} FATAL:  role "LOG:  could not write to file "postmaster.pid": x" does not exist`
  expect(statusNotWritten([said])).toBeUndefined()
})

test.each([
  `FATAL:  no pg_hba.conf entry for host "127.0.0.1", user "u", database "could not bind IPv4 address: Address already in use", no encryption`,
  `FATAL:  database "LOG:  could not bind IPv4 address ": Address already in use" does not exist`,
  `FATAL:  role "x: No space left on device" does not exist`,
  `FATAL:  password authentication failed for user "x: No space left on device"`,
  `FATAL:  pg_hba.conf rejects connection for host "::1", user "u", database "d: Disk quota exceeded", no encryption`,
])('what a stranger says at the port is no word of the server: %s', (line) => {
  expect(portIsTaken([`${at} ${line}`])).toBe(false)
  expect(spaceError([`${at} ${line}`])).toBeUndefined()
})

test.each([
  'LOG:  could not bind IPv4 address "": Address already in use',
  `${at} LOG:  could not bind IPv4 address "127.0.0.1": Address already in use`,
  'x: No space left on device',
  '"x: No space left on device',
  `${at} FATAL:  x: Disk quota exceeded`,
])('nor is what a stranger puts before or after a line break: %s', (words) => {
  const log = [`${at} FATAL:  invalid value for parameter "replication": "${words}`, `\t${words}`, '\t"']
  expect(portIsTaken(log)).toBe(false)
  expect(spaceError(log)).toBeUndefined()
  // Where the log was cut within the message.
  expect(portIsTaken(log.slice(1))).toBe(false)
  expect(spaceError(log.slice(1))).toBeUndefined()
})
