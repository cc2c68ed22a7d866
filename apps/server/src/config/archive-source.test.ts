import { expect, test } from 'vitest'
import { archiveSource } from './archive-source.ts'

const backrest = (own: Record<string, unknown>) => ({ pgbackrest: { stanza: 'main', config: '/etc/lab.conf', ...own } })

test('an archive is of pgBackRest, or by a command', () => {
  for (const source of [
    backrest({ options: { 'process-max': 4, 'repo1-s3-verify-tls': false }, secrets: { 'repo1-s3-key': 'S3_KEY' } }),
    { pgbackrest: { stanza: 'main' }, recovery: { lsn: '16/B374D848' } },
    { command: ['/usr/bin/wal-g', 'backup-fetch', '%d', 'LATEST'], restoreCommand: ['wal-g', 'wal-fetch', '%f', '%p'] },
  ]) {
    expect(archiveSource.safeParse({ kind: 'archive', ...source }).error).toBeUndefined()
  }
})

test.each([
  [{}, 'either pgbackrest or command'],
  [{ ...backrest({}), command: ['true'] }, 'either pgbackrest or command'],
  [{ ...backrest({}), restoreCommand: ['cp', '%p'] }, 'goes without restoreCommand'],
  [backrest({ stanza: '--config=/etc/passwd' }), 'name of a stanza'],
  [backrest({ config: 'lab.conf' }), 'absolute path'],
  [backrest({ options: { 'pg1-path': '/data' } }), 'gives itself'],
  [backrest({ options: { 'repo1-cipher-pass': 'hush' } }), 'is a secret'],
  [backrest({ options: { 'repo1-path': '/a\n[global]' } }), 'Invalid'],
  [backrest({ config: undefined, options: { 'process-max': 4 } }), 'must be given where options or secrets are'],
  [{ ...backrest({}), recovery: { immediate: true, lsn: '0/1' } }, 'one of immediate, time and lsn'],
  [{ ...backrest({}), recovery: { time: '2026-11-26T10:00:00' } }, 'a time with its zone'],
  [{ command: ['true'], restoreCommand: ['cp', '%f'] }, 'must have %p'],
  [{ command: ['true'], notFoundStatus: 1 }, 'is the status of restoreCommand'],
])('refuses %j', (source, message) => {
  const { error } = archiveSource.safeParse({ kind: 'archive', ...source })
  expect(JSON.stringify(error?.issues)).toContain(message)
  expect(JSON.stringify(error?.issues)).not.toContain('hush')
})
