import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { createLogger, transports } from 'winston'
import type { Act } from './act.ts'
import { AuditLog } from './audit-log.ts'
import { Refusals } from './refusals.ts'

const log = createLogger({ silent: true, transports: [new transports.Console()] })

async function place() {
  const path = await mkdtemp(join(tmpdir(), 'dblab-audit-'))
  return { path, file: join(path, 'audit.db'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

const act = (fields: Partial<Act> = {}): Act => ({
  caller: { tokenId: 't1', name: 'ci', role: 'member' },
  ...{ operation: 'CloneDelete', clone: 'c', snapshot: '', token: '', address: '127.0.0.1', requestId: 'r' },
  ...fields,
})

test('what was begun is there before it ends, and after the log was closed and opened', async () => {
  await using at = await place()
  const options = { file: at.file, maxEntries: 100, maxDays: 1, log }
  {
    using audit = new AuditLog(options)
    const id = audit.begin(act({ clone: '' }))
    expect(audit.list({ limit: 10 })).toMatchObject([{ id, tokenName: 'ci', status: 0, clone: '' }])
    audit.end(id ?? 0, act({ clone: 'made' }), { status: 201 })
    audit.begin(act())
  }
  expect((await stat(at.file)).mode & 0o777).toBe(0o600)
  using audit = new AuditLog(options)
  expect(audit.list({ limit: 10 })).toMatchObject([
    { status: 0, clone: 'c' },
    { status: 201, clone: 'made', tokenId: 't1', operation: 'CloneDelete', address: '127.0.0.1', requestId: 'r' },
  ])
})

test('it is paged by id, and filtered', async () => {
  await using at = await place()
  using audit = new AuditLog({ file: at.file, maxEntries: 100, maxDays: 1, log })
  for (const clone of ['a', 'b', 'a', 'a']) audit.add(act({ clone }), { status: 202 })
  audit.addOwn({ operation: 'CloneDelete', clone: 'a' }, 'its time is over')
  const first = audit.list({ limit: 2, clone: 'a' })
  expect(first).toMatchObject([{ tokenName: 'lab', reason: 'its time is over' }, { clone: 'a' }])
  const rest = audit.list({ limit: 10, clone: 'a', before: first.at(-1)?.id })
  expect(rest.map(({ id }) => id)).toEqual([3, 1])
  expect(audit.list({ limit: 10, tokenName: 'lab' })).toHaveLength(1)
  expect(audit.list({ limit: 10, operation: 'CloneCreate' })).toEqual([])
})

test('the oldest go when there are too many, refusals before the rest', async () => {
  await using at = await place()
  using audit = new AuditLog({ file: at.file, maxEntries: 100, maxDays: 1, log })
  for (let n = 0; n < 20; n++) audit.add(act({ clone: `kept-${n}` }), { status: 202 })
  for (let n = 0; n < 60; n++) audit.add(act({ caller: undefined }), { status: 401, errorCode: 'UNAUTHORIZED' })
  audit.prune()
  const left = audit.list({ limit: 1000 })
  expect(left.filter(({ errorCode }) => errorCode === 'UNAUTHORIZED')).toHaveLength(10)
  expect(left.filter(({ clone }) => clone.startsWith('kept-'))).toHaveLength(20)
  for (let n = 0; n < 120; n++) audit.add(act({ clone: `new-${n}` }), { status: 202 })
  audit.prune()
  const newest = audit.list({ limit: 1000 })
  expect(newest).toHaveLength(100)
  expect(newest[0]?.clone).toBe('new-119')
})

test('those that are too old go', async () => {
  await using at = await place()
  using audit = new AuditLog({ file: at.file, maxEntries: 100, maxDays: 1, log })
  for (const clone of ['old', 'older-than-it-looks', 'new']) audit.add(act({ clone }), { status: 202 })
  const other = new DatabaseSync(at.file)
  other.exec("UPDATE audit SET at = '2020-01-01T00:00:00.000Z' WHERE clone LIKE 'old%'")
  other.close()
  audit.prune()
  expect(audit.list({ limit: 10 }).map(({ clone }) => clone)).toEqual(['new'])
})

test('a flood of refusals is cut short for each sender, and for all together', async () => {
  await using at = await place()
  using audit = new AuditLog({ file: at.file, maxEntries: 10_000, maxDays: 1, log })
  const refusals = new Refusals(audit, 5, log)
  const outcome = { status: 401, errorCode: 'UNAUTHORIZED' }
  for (let n = 0; n < 50; n++) refusals.record(act({ caller: undefined, address: '10.0.0.1' }), outcome)
  const ofOne = audit.list({ limit: 1000 }).length
  // A minute may have turned over in between.
  expect(ofOne === 15 || ofOne === 30).toBe(true)
  for (let n = 0; n < 2000; n++)
    refusals.record(act({ caller: undefined, address: `10.1.${n >> 8}.${n & 255}` }), outcome)
  expect(audit.list({ limit: 1000 }).length).toBeLessThanOrEqual(300)
})

test('a damaged file is put aside and a new one begun', async () => {
  await using at = await place()
  await writeFile(at.file, 'this was an audit log once, and is no database now'.repeat(100))
  using audit = new AuditLog({ file: at.file, maxEntries: 100, maxDays: 1, log })
  audit.add(act(), { status: 202 })
  expect(audit.list({ limit: 10 })).toHaveLength(1)
  const [aside = ''] = (await readdir(at.path)).filter((name) => name.includes('damaged'))
  expect(await readFile(join(at.path, aside), 'utf8')).toContain('this was an audit log once')
})

test('what can not be written stops nothing, and is told', async () => {
  await using at = await place()
  using audit = new AuditLog({ file: join(at.path, 'not-there', 'audit.db'), maxEntries: 100, maxDays: 1, log })
  expect(audit.begin(act())).toBeUndefined()
  expect(audit.problem).toContain('ENOENT')
  expect(() => audit.list({ limit: 1 })).toThrow('the audit log does not answer')
})
