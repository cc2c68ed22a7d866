import { describe, expect, test, vi } from 'vitest'
import { CloneModel, NO_ROWS } from './model.ts'
import { Settling } from './settling.ts'

const DELETED = 'WRONG: clone c was deleted, and is there'

/** A server that says this of every clone, whose table is empty. */
function settlingWith(status: { code: string; message: string } | undefined, failuresAllowed = false) {
  const body = { status, protected: false, resetFailedAt: '' }
  const ask = vi.fn(async () => ({ status: status ? 200 : 404, body, code: undefined }))
  const expected = vi.fn(async () => {})
  const answers = { around: { failuresAllowed }, ask, expect: expected }
  return { settling: new Settling(answers, { rowsOf: async () => new Set<number>() }, []), ask }
}

function askedFor(): CloneModel {
  const clone = new CloneModel('c')
  clone.asked(NO_ROWS)
  return clone
}

/** Its deletion was promised, and it was seen to be gone. */
async function deleted(): Promise<CloneModel> {
  const clone = askedFor()
  clone.presence = 'present'
  clone.deleting = true
  await settlingWith(undefined).settling.settle(clone)
  expect(clone.presence).toBe('absent')
  return clone
}

describe('a clone that was deleted', () => {
  test.each([
    { code: 'OK', message: 'Database is ready' },
    { code: 'CREATING', message: 'Database clone is being created' },
    { code: 'FATAL', message: 'Creation failed.' },
    { code: 'FATAL', message: 'It could not be started, and will be tried again' },
  ])('must not come back: $code, $message', async (status) => {
    const { settling, ask } = settlingWith(status, true)
    await expect(settling.settle(await deleted())).rejects.toThrow(DELETED)
    // Nobody helps what must not be there.
    expect(ask).toHaveBeenCalledOnce()
  })

  test('may be asked for again', async () => {
    const clone = await deleted()
    clone.asked(NO_ROWS)
    await settlingWith({ code: 'OK', message: 'Database is ready' }).settling.settle(clone)
    expect(clone.presence).toBe('present')
  })

  test('is still deleted at a second look', async () => {
    const clone = await deleted()
    await settlingWith(undefined).settling.settle(clone)
    expect(clone.presence).toBe('absent')
  })
})

test.each([true, false])('a clone whose creation was not answered may be there or not: %s', async (isThere) => {
  const clone = askedFor()
  await settlingWith(isThere ? { code: 'OK', message: 'Database is ready' } : undefined).settling.settle(clone)
  expect(clone.presence).toBe(isThere ? 'present' : 'absent')
})

test('a clone that was there and was not deleted must not be gone', async () => {
  const clone = askedFor()
  clone.presence = 'present'
  await expect(settlingWith(undefined).settling.settle(clone)).rejects.toThrow('LOST: clone c is gone')
})
