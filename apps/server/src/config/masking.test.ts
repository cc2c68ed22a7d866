import { expect, test } from 'vitest'
import { maskingSchema } from './masking.ts'

const rule = { table: 'public.customer', column: 'email' }

function problems(given: unknown): string[] {
  const { error } = maskingSchema.safeParse(given)
  return error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? []
}

test('nothing is masked and everything is looked for when nothing is said', () => {
  expect(maskingSchema.parse({})).toMatchObject({ files: [], rules: [], coverage: { mode: 'block', allow: [] } })
})

test('a rule has exactly one kind', () => {
  const one = /rules\.0: must have exactly one of/
  expect(problems({ rules: [rule] })).toEqual([expect.stringMatching(one)])
  expect(problems({ rules: [{ ...rule, null: true, shuffle: true }] })).toEqual([expect.stringMatching(one)])
  expect(problems({ rules: [{ ...rule, constant: '' }] })).toEqual([])
  expect(problems({ rules: [{ ...rule, null: false }] })).not.toEqual([])
  expect(problems({ rules: [{ ...rule, fake: 'unicorn' }], secretEnv: 'S' })).not.toEqual([])
})

test('tables and columns are named in full', () => {
  expect(problems({ rules: [{ ...rule, table: 'customer', null: true }] })).toEqual([
    expect.stringMatching(/rules\.0\.table: must be schema\.table/),
  ])
  expect(problems({ coverage: { allow: ['customer.email'] } })).toEqual([
    expect.stringMatching(/coverage\.allow\.0: must be schema\.table\.column/),
  ])
})

test('what is keyed needs one secret, which is not in the configuration itself', () => {
  expect(problems({ rules: [{ ...rule, hash: true }] })).toEqual([expect.stringMatching(/secretFile: is missing/)])
  expect(problems({ rules: [{ ...rule, fake: 'email' }], secretFile: '/a', secretEnv: 'B' })).toEqual([
    expect.stringMatching(/secretEnv: must not be given beside secretFile/),
  ])
  expect(problems({ secret: 'itself' })).not.toEqual([])
  expect(problems({ rules: [{ ...rule, hash: true }], secretEnv: 'B' })).toEqual([])
})
