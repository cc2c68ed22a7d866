import { expect, test } from 'vitest'
import { createInMemory } from './database.ts'
import { watchRows } from './row-changes.ts'
import { TokenStore } from './tokens.ts'

test('every row that is written is told of, by whichever statement', () => {
  const db = createInMemory('lab')
  const heard: string[] = []
  watchRows(db, ['tokens'], (table, id) => heard.push(`${table} ${id}`))
  const tokens = new TokenStore(db)
  const times = { createdAt: '2026-01-01', expiresAt: null, revokedAt: null, lastUsedAt: null }
  for (const id of ['a', 'b', 'c']) tokens.add({ ...times, id, name: id, role: 'member', hash: id })
  expect(heard.splice(0)).toEqual(['tokens a', 'tokens b', 'tokens c'])
  tokens.revoke('b', '2026-02-01')
  expect(heard.splice(0)).toEqual(['tokens b'])
  // Not by a method of ours, and of many at once.
  db.exec("UPDATE tokens SET name = 'x' WHERE id <> 'b'; DELETE FROM tokens WHERE id = 'c'")
  expect(heard.splice(0)).toEqual(['tokens a', 'tokens c', 'tokens c'])
  db.exec("UPDATE meta SET value = '7' WHERE key = 'epoch'")
  tokens.revoke('none', '2026-02-01')
  expect(heard).toEqual([])
})
