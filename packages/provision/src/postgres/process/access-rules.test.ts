import { expect, test } from 'vitest'
import { hbaName, hbaRules, identMap } from './access-rules.ts'

test('lets in the lab by the socket, the users by TCP, and trusts nobody', () => {
  const rules = hbaRules(['ann', 'bob'], { major: 18, tls: false })
  expect(rules.split('\n')).toEqual([
    'local all "dblab" peer map=lab',
    'local all all reject',
    'local replication all reject',
    'host all "ann" all scram-sha-256',
    'host all "bob" all scram-sha-256',
    'host all all all reject',
    'host replication all all reject',
    '',
  ])
})

test('wants TLS of users where there is a certificate', () => {
  expect(hbaRules(['ann'], { major: 18, tls: true })).toContain('hostssl all "ann" all scram-sha-256')
})

test('quotes words and prefixes that mean something', () => {
  expect(hbaName('all', 18)).toBe('"all"')
  expect(hbaName('+group', 18)).toBe('"+group"')
  expect(hbaName('a"b', 18)).toBe('"a""b"')
})

test('says a leading slash as a regular expression of itself where it would begin one', () => {
  expect(hbaName('/.*"', 15)).toBe('"/.*"""')
  expect(hbaName('/.*"', 16)).toBe(String.raw`"/^\/\.\*\""$"`)
})

test("refuses names that it could not write, and the lab's own", () => {
  for (const name of ['a\nhost all all all trust', 'dblab', 'dblab_owner', '', 'pg_monitor']) {
    expect(() => hbaRules([name], { major: 18, tls: false })).toThrow(expect.objectContaining({ code: 'INVALID' }))
  }
  expect(hbaRules(['dblab_import'], { major: 18, tls: false })).toContain('"dblab_import"')
})

test("maps the account of the lab's process to its role", () => {
  expect(identMap('root', { major: 18 })).toBe('lab "root" "dblab"\n')
  expect(() => identMap('a"b', { major: 18 })).toThrow(expect.objectContaining({ code: 'INVALID' }))
})
