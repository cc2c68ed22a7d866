import { expect, test } from 'vitest'
import { postgresImage } from './container.ts'

test('an image is taken that is of postgres itself, whoever keeps it, and has a name', () => {
  expect(postgresImage('alpine:3\npostgres:18\npostgres:17')).toBe('postgres:18')
  expect(postgresImage('docker.io/library/postgres:17-alpine')).toBe('docker.io/library/postgres:17-alpine')
  expect(postgresImage('bitnami/postgresql:16\npostgres:<none>\nmypostgres:1')).toBeUndefined()
  expect(postgresImage('')).toBeUndefined()
})
