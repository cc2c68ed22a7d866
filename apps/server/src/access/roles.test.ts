import { expect, test } from 'vitest'
import { openApi } from '../version.ts'
import { knownOperations, mayCall } from './roles.ts'

const secured = Object.values(
  openApi.paths as Record<string, Record<string, { operationId: string; security?: object[] }>>,
)
  .flatMap((operations) => Object.values(operations))
  .filter(({ security = [] }) => security.length > 0)
  .map(({ operationId }) => operationId)

test('every operation of the document that takes a token has its least role, and no other has', () => {
  expect([...knownOperations].sort()).toEqual(secured.sort())
})

test('an operation that nobody thought of is for admins alone', () => {
  expect(['admin', 'member', 'viewer'].map((role) => mayCall(role as 'admin', 'CloneExport'))).toEqual([
    true,
    false,
    false,
  ])
})
