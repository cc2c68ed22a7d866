import { expect, test } from 'vitest'
import { readDatabases, readLabel, snapshotLabels } from './labels.ts'

const data = { database: 'shop', databases: ['shop'], postgresVersion: 18, timestamp: '2026-01-01T00:00:00.000Z' }

test('what people write comes back from labels as it was, whatever is in it', () => {
  for (const message of ['100 % sure', 'two\nlines\t\u0085', '%41', 'ü🐘\u2028', '', ' a="b" ']) {
    const labels = snapshotLabels('base', { ...data, sample: false, message })
    expect(Object.values(labels).join('')).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u)
    expect(readLabel(labels, 'message')).toBe(message)
  }
})

test('a text that is too long is cut between two characters', () => {
  const labels = snapshotLabels('base', { ...data, sample: false, message: '\u0085'.repeat(1000) })
  expect(labels.message?.length).toBeLessThanOrEqual(1024)
  expect(readLabel(labels, 'message')).toMatch(/^\u0085{170}$/)
})

test('names of databases come back, or none of them where they are too many', () => {
  const databases = ['shop', 'a b', 'x/y%', 'ü']
  expect(readDatabases(snapshotLabels('base', { ...data, databases, sample: true }))).toEqual(databases)
  const many = Array.from({ length: 300 }, (_, n) => `database-${n}`)
  expect(readDatabases(snapshotLabels('base', { ...data, databases: many, sample: true }))).toBeUndefined()
})
