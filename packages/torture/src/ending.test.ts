import { describe, expect, test } from 'vitest'
import { judgeEnd, type Stage } from './ending.ts'

const FAILED = { killed: false, code: 1 }
const STAGES: Stage[] = ['start', 'serving', 'stop', 'command']

describe('the end of a process', () => {
  test.each(STAGES)('is fine where it was killed: %s', (stage) => {
    judgeEnd({ killed: true, code: null }, stage, false)
  })

  test.each(['start', 'stop', 'command'] as const)('is fine where it had done its work: %s', (stage) => {
    judgeEnd({ killed: false, code: 0 }, stage, false)
  })

  test.each(STAGES)('is a violation where no step failed: %s', (stage) => {
    expect(() => judgeEnd(FAILED, stage, false)).toThrow('ended with 1')
    expect(() => judgeEnd({ killed: false, code: null }, stage, false)).toThrow('was ended by a signal')
  })

  test.each(['start', 'stop', 'command'] as const)('is excused by a step that failed: %s', (stage) => {
    judgeEnd(FAILED, stage, true)
  })

  test('is not excused by it while the server serves: nothing that fails may end it', () => {
    expect(() => judgeEnd(FAILED, 'serving', true)).toThrow('WRONG: the server, while it served, ended with 1')
    expect(() => judgeEnd({ killed: false, code: 0 }, 'serving', false)).toThrow('ended with 0')
  })
})
