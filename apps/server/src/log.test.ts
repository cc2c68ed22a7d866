import { expect, test, vi } from 'vitest'
import { createLog, toText } from './log.ts'

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

test('writes an object a line where logFormat is json, with all that an error knows', () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  try {
    const error = new Error('the clone failed', { cause: new Error('the disk is full') })
    createLog({ logLevel: 'info', logFormat: 'json' }).error('creation failed', { clone: 'a', error })
    const [written] = write.mock.calls.map(([chunk]) => String(chunk))
    expect(written).toMatch(/^\{[^\n]*\}\n$/)
    expect(JSON.parse(written ?? '')).toMatchObject({
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      level: 'error',
      message: 'creation failed',
      clone: 'a',
      error: { message: 'the clone failed', cause: { message: 'the disk is full' } },
    })
  } finally {
    write.mockRestore()
  }
})
