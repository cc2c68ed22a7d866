import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { COMMON_POINTS } from '@dblab/provision'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { histories } from './history.ts'
import { readHistory } from './replay.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'replay-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

function reread(text: string) {
  const file = join(directory, 'history.json')
  writeFileSync(file, text)
  return readHistory(file)
}

const step = { kind: 'write', slot: 0, pick: 3, hasty: false }
const round = { kind: 'serve', blow: { from: 'outside', afterMs: 900 }, scripts: [[step]] }

describe('a history that is to be suffered again', () => {
  test('is the one that was written', () => {
    for (const history of fc.sample(histories(COMMON_POINTS, COMMON_POINTS, 4000), { numRuns: 50, seed: 1 }))
      expect(reread(JSON.stringify(history, null, 2))).toEqual(history)
  })

  test.each([
    ['', "can't be read as JSON"],
    ['{}', 'holds no history: it is no list of rounds'],
    ['[]', 'holds no history: it is no list of rounds'],
    ['[null]', 'holds no history: round 1 is of no kind'],
    [JSON.stringify([round, { ...round, kind: 'nap' }]), 'holds no history: round 2 is of no kind'],
    [JSON.stringify([{ ...round, blow: { from: 'outside' } }]), 'round 1 has no blow, or one that is none'],
    [JSON.stringify([{ ...round, scripts: [[{ ...step, pick: -1 }]] }]), 'round 1 has no scripts, or a step in them'],
  ])('is refused where it is none: %s', (text, message) => {
    expect(() => reread(text)).toThrow(message)
  })

  test('is refused where there is no such file', () => {
    expect(() => readHistory(join(directory, 'none.json'))).toThrow('ENOENT')
  })
})
