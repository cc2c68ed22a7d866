import { expect, test } from 'vitest'
import { transactionsPerSecond } from './pgbench.ts'

const OUTPUT = `transaction type: <builtin: select only>
scaling factor: 5
number of transactions actually processed: 31415
latency average = 0.510 ms
initial connection time = 21.123 ms
tps = 15707.654321 (without initial connection time)
`

test('the transactions a second are those without the time of connecting', () => {
  expect(transactionsPerSecond(OUTPUT)).toBe(15_707.654321)
  expect(() => transactionsPerSecond('pgbench: error')).toThrow('pgbench')
})
