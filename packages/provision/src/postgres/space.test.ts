import { expect, test } from 'vitest'
import { ProvisionError } from '../errors.ts'
import { noticingSpace, spaceError } from './space.ts'

const PANIC =
  '2026-03-01 10:00:00.000 UTC [12] PANIC:  could not write to file "pg_wal/xlogtemp.12": No space left on device'

test('a full pool is told from a used up quota, and from a full disk elsewhere', () => {
  expect(spaceError(['a line', PANIC, 'another'])).toMatchObject({
    code: 'NO_SPACE',
    message:
      'the pool has no space left; Postgres says: could not write to file "pg_wal/xlogtemp.12": No space left on device',
    hint: expect.stringContaining('pool larger'),
  })
  expect(spaceError(['[1] ERROR:  could not extend file "base/5/1": Disk quota exceeded'])?.message).toMatch(
    /^the disk quota/,
  )
  expect(
    spaceError(['FATAL:  could not write lock file "/srv/sockets/a/.s.PGSQL.5432.lock": No space left on device'])
      ?.message,
  ).toMatch(/^the disk of \/srv\/sockets\/a\/\.s\.PGSQL\.5432\.lock has/)
})

test('what the kernel runs out of is no disk', () => {
  for (const line of [
    'FATAL:  could not create semaphores: No space left on device',
    'FATAL:  could not create shared memory segment: No space left on device',
    'ERROR:  could not resize shared memory segment "/PostgreSQL.1" to 8 bytes: No space left on device',
    'FATAL:  lock file "postmaster.pid" already exists',
  ])
    expect(spaceError([line])).toBeUndefined()
})

test('only what the log says since the work began explains its failure', async () => {
  const log = [PANIC, 'ready again']
  const logs = async (lines: number) => log.slice(-lines)
  const lost = new ProvisionError('UNAVAILABLE', 'the connection was lost')
  await expect(noticingSpace(logs, () => Promise.reject(lost))).rejects.toBe(lost)
  const failing = async () => {
    log.push(PANIC, 'the database system is shut down')
    throw lost
  }
  await expect(noticingSpace(logs, failing)).rejects.toMatchObject({ code: 'NO_SPACE', cause: lost })
})
