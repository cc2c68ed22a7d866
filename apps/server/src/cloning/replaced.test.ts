import type { Provisioner } from '@dblab/provision'
import { expect, test } from 'vitest'
import { createLogger, transports } from 'winston'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { Lull } from '../lab/lull.ts'
import { ReplacedServers } from './replaced.ts'

const log = createLogger({ silent: true, transports: [new transports.Console()] })

/** Ends servers, and writes down what is asked of it. */
class Machine {
  readonly done: string[] = []
  failures = 0
  readonly lull = new Lull()

  open(): ReplacedServers {
    // Whoever waits for a lull waits for seconds.
    this.lull.disturb()
    const provisioner = {
      ports: { hangUp: async (id: string) => void this.done.push(`hung up ${id}`), answerAt: async () => {} },
      runtime: {
        remove: async (id: string) => {
          if (this.failures-- > 0) throw new Error('it does not end')
          this.done.push(`removed ${id}`)
        },
      },
    }
    const catalogue = { clones: { get: () => undefined } }
    return new ReplacedServers({
      catalogue: catalogue as unknown as Catalogue,
      provisioner: provisioner as unknown as Provisioner,
      log,
      lull: this.lull,
    })
  }
}

test('one that is replaced is hung up at once, and removed once its port is wanted', async () => {
  const machine = new Machine()
  await using replaced = machine.open()
  const told: string[] = []
  replaced.add('a', 'a1', () => told.push('a1'))
  replaced.add('b', 'b1', () => told.push('b1'))
  await expect.poll(() => machine.done).toEqual(['hung up a1', 'hung up b1'])
  await replaced.gone('a')
  expect(machine.done).toEqual(['hung up a1', 'hung up b1', 'removed a1'])
  expect(told).toEqual(['a1'])
  await replaced.gone('c')
  expect(machine.done).toHaveLength(3)
})

test('no more of them than a few stand still, and the oldest goes first', async () => {
  const machine = new Machine()
  await using replaced = machine.open()
  for (const id of ['1', '2', '3', '4', '5', '6']) replaced.add(id, id, () => {})
  await expect.poll(() => machine.done.filter((what) => what.startsWith('removed'))).toEqual(['removed 1', 'removed 2'])
})

test('what could not be removed is tried again when its port is wanted, and at the end', async () => {
  const machine = new Machine()
  machine.failures = 2
  {
    await using replaced = machine.open()
    replaced.add('a', 'a1', () => {})
    await replaced.gone('a')
    expect(machine.done).not.toContain('removed a1')
  }
  expect(machine.done).toContain('removed a1')
})
