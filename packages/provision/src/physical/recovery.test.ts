import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { ProvisionError } from '../errors.ts'
import type { ControlData } from '../postgres/control-file.ts'
import { explainRecovery, notBelow, recoveryKind, recoveryOutcome, recoverySettings, shellCommand } from './recovery.ts'

const CONTROL: ControlData = {
  state: 'in production',
  checkpointLsn: '0/2000060',
  redoLsn: '0/2000028',
  checkpointAt: new Date('2026-11-26T10:00:00Z'),
  timeline: 1,
  settings: {
    max_connections: 200,
    max_worker_processes: 4,
    max_wal_senders: 10,
    max_prepared_transactions: 5,
    max_locks_per_transaction: 64,
  },
  walSegmentBytes: 16 * 2 ** 20,
}

test('an argument reaches the shell as one word, whatever is in it', () => {
  expect(shellCommand((dataDir) => ['/bin/cp', `a'b "c" $HOME`, '%f', dataDir], '/d')).toBe(
    `'/bin/cp' 'a'\\''b "c" $HOME' '%f' '/d'`,
  )
  expect(() => shellCommand([], '/d')).toThrow(expect.objectContaining({ code: 'INVALID' }))
})

test.each([
  ['exit 0', 0],
  ['exit 74', 1],
  ['exit 1', 200],
  ['kill -9 $$', 200],
])('of a program whose status for absence is 74, and which does %s, the shell makes %i', async (does, status) => {
  const shell = spawn('sh', ['-c', shellCommand(['sh', '-c', does], '/d', 74)], { stdio: 'ignore' })
  expect(await once(shell, 'exit')).toEqual([status, null])
})

test.each([
  ['shut down', false, {}, 'none'],
  ['in production', false, {}, 'crash'],
  ['in crash recovery', false, {}, 'crash'],
  ['in production', true, {}, 'archive'],
  ['shut down in recovery', false, {}, 'archive'],
  ['in archive recovery', false, {}, 'archive'],
  ['shut down', false, { target: 'immediate' }, 'archive'],
  ['in production', false, { restoreCommand: ['fetch'] }, 'archive'],
] as const)('data that is %s, with a backup label: %s, and %o, recovers by: %s', (state, label, spec, kind) => {
  expect(recoveryKind(state, label, spec)).toBe(kind)
})

test('a server that replays has no less of anything than the one that wrote', () => {
  const { max_connections, max_worker_processes, max_prepared_transactions, jit } = notBelow(CONTROL.settings, {
    max_connections: '500',
    jit: 'off',
  })
  expect([max_connections, max_worker_processes, max_prepared_transactions, jit]).toEqual(['500', '8', '5', 'off'])
})

test('a target that can be none is refused before anything is started', () => {
  expect(recoverySettings({ timeline: 3 }, '/d', 15)).toMatchObject({ recovery_target_timeline: '3' })
  expect(() => recoverySettings({ timeline: 0 }, '/d', 15)).toThrow(expect.objectContaining({ code: 'INVALID' }))
  expect(() => recoverySettings({ target: { lsn: "0/0' or" } }, '/d', 15)).toThrow(
    expect.objectContaining({ code: 'INVALID' }),
  )
})

describe('where a replay has ended', () => {
  const log = [
    '2026-11-26 10:00:01.000 UTC [7] LOG:  redo starts at 0/2000028',
    'cp: 2026-11-26 [7] LOG:  redo done at F/F',
    '2026-11-26 10:00:02.000 UTC [7] LOG:  redo done at 0/30000A0 system usage: CPU: user: 0.00 s',
    '2026-11-26 10:00:02.000 UTC [7] LOG:  last completed transaction was at log time 2026-11-26 10:00:00.123456+00',
  ]

  test('is what the server says of it', () => {
    expect(recoveryOutcome(log, CONTROL, { ...CONTROL, timeline: 2 })).toEqual({
      lsn: '0/30000A0',
      timeline: 2,
      at: new Date('2026-11-26T10:00:00.123Z'),
    })
  })

  test('is its last checkpoint where nothing was to be replayed', () => {
    expect(recoveryOutcome([], CONTROL, CONTROL)).toEqual({
      lsn: CONTROL.checkpointLsn,
      timeline: 1,
      at: CONTROL.checkpointAt,
    })
  })
})

test('why a recovery ended is said with what to do, and any other failure goes through', () => {
  const failed = new ProvisionError('FAILED', 'Postgres ended: FATAL:  WAL ends before end of online backup')
  expect(explainRecovery(failed)).toMatchObject({ code: 'INVALID', hint: expect.any(String), cause: failed })
  const lost =
    'Postgres ended: FATAL:  could not restore file "000000010000000000000003" from archive: child process exited'
  expect(explainRecovery(new ProvisionError('FAILED', lost))).toMatchObject({ code: 'UNAVAILABLE' })
  const other = new ProvisionError('FAILED', 'Postgres ended: FATAL:  something else')
  expect(explainRecovery(other)).toBe(other)
})
