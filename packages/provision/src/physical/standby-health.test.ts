import { expect, test } from 'vitest'
import { standbyProblem } from './standby-health.ts'

const line = (text: string) => `2026-11-26 10:00:00.000 UTC [7] ${text}`

test('why nothing is received is the last thing that was amiss, without what a server quotes', () => {
  const log = [
    line('FATAL:  could not connect to the primary server: connection to server at "db" failed'),
    '\tIs the server running on that host?',
    line('LOG:  waiting for WAL to become available at 0/3000000'),
  ]
  expect(standbyProblem(log, false)).toEqual({
    problem: 'FATAL:  could not connect to the primary server: connection to server at "db" failed',
    isLost: false,
  })
  expect(standbyProblem([], false)).toEqual({ problem: expect.any(String), isLost: false })
})

test.each([
  'FATAL:  could not receive data from WAL stream: ERROR:  requested WAL segment 000000010000000000000003 has already been removed',
  "FATAL:  could not start WAL streaming: ERROR:  requested starting point 0/3000000 on timeline 1 is not in this server's history",
  'FATAL:  database system identifier differs between the primary and standby',
])('what only a new copy cures is told from what passes, unless an archive may have it: %s', (text) => {
  expect(standbyProblem([line(text)], false).isLost).toBe(true)
  expect(standbyProblem([line(text)], true).isLost).toBe(false)
})
