import { expect, test } from 'vitest'
import { PULSE_PARTS, Pulses } from './pulses.ts'

function pulsesOf(count: number): Pulses {
  const pulses = new Pulses()
  for (let n = 0; n < count; n++) pulses.set(`c${n}`, n)
  return pulses
}

const round = (pulses: Pulses) => Array.from({ length: PULSE_PARTS }, () => pulses.nextPart())

test.each([500, 495, 11, 10])(
  'each of %i has its turn in a round of parts, of which none is larger than another by more than one',
  (count) => {
    const pulses = pulsesOf(count)
    for (let turn = 0; turn < 3; turn++) {
      const parts = round(pulses)
      expect(new Set(parts.flat().map(([id]) => id)).size).toBe(count)
      expect(new Set(parts.map(({ length }) => length))).toEqual(new Set([Math.ceil(count / PULSE_PARTS)]))
    }
  },
)

test('of none, nobody has a turn', () => {
  expect(round(new Pulses()).flat()).toEqual([])
})

test('one that is taken away in the middle of a round is not felt, and keeps no other from its turn', () => {
  const pulses = pulsesOf(100)
  const first = pulses.nextPart()
  pulses.delete('c0')
  pulses.delete('c50')
  const felt = [...first, ...Array.from({ length: PULSE_PARTS - 1 }, () => pulses.nextPart()).flat()].map(([id]) => id)
  expect(felt).not.toContain('c50')
  expect(new Set(felt).size).toBe(99)
})

test('one that is new has its turn within two rounds', () => {
  const pulses = pulsesOf(100)
  pulses.nextPart()
  pulses.set('new', 7)
  expect([...round(pulses), ...round(pulses)].flat()).toContainEqual(['new', 7])
})
