import { expect, test } from 'vitest'
import { toText } from './log.ts'

const line = { timestamp: '2026-01-31T12:00:00Z', level: 'error' }

test('writes fields behind the message, and quotes what is no plain word', () => {
  const text = toText({
    ...line,
    level: 'info',
    message: 'ready',
    clone: 'a',
    seconds: 0.5,
    name: 'two words',
    none: undefined,
  })
  expect(text).toBe('2026-01-31T12:00:00Z info  ready clone=a seconds=0.5 name="two words"')
})

test('shows an error below, with what it carries and what caused it', () => {
  const cause = Object.assign(new Error('the disk is full'), { stderr: 'No space left' })
  const error = Object.assign(new Error('the clone failed', { cause }), { code: 'NO_SPACE' })
  const [first, ...rest] = toText({ ...line, message: 'creation failed', clone: 'a', error }).split('\n')
  expect(first).toBe('2026-01-31T12:00:00Z error creation failed clone=a error="the clone failed"')
  expect(rest.every((text) => text.startsWith('    '))).toBe(true)
  const below = rest.join('\n')
  expect(below).toMatch(/Error: the clone failed[\s\S]*log\.test\.ts[\s\S]*code: 'NO_SPACE'/)
  expect(below).toMatch(/caused by Error: the disk is full[\s\S]*stderr: 'No space left'/)
})

test('shows both errors where an undo failed too', () => {
  const error = new SuppressedError(new Error('the undo failed'), new Error('the work failed'), 'both')
  const text = toText({ ...line, message: 'creation failed', error })
  expect(text).toMatch(/raised by Error: the undo failed[\s\S]*after Error: the work failed/)
})
