import { expect, test } from 'vitest'
import { spaceError } from '../space.ts'
import { portIsTaken } from './failure.ts'

const at = '2026-03-01 10:00:00.000 UTC [12]'

test('the postmaster alone says that its port is taken', () => {
  expect(portIsTaken([`${at} LOG:  could not bind IPv4 address "127.0.0.1": Address already in use`])).toBe(true)
  expect(portIsTaken([`${at} LOG:  could not bind IPv6 address "::1": Address already in use`])).toBe(true)
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
