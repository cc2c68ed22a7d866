import { expect, test } from 'vitest'
import { saysNoSpace } from '../space.ts'
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
  expect(saysNoSpace(`${at} ${line}`)).toBe(false)
})
