import type { Retrieval, RetrievalRun } from '@dblab/models'
import { expect, test } from 'vitest'
import { outlineOfAll } from './outline.ts'

const SECRETS = ['db.production', 'replicator', 'jane@example.com']

const run: RetrievalRun = {
  ...{ id: 'r', trigger: 'SCHEDULE', outcome: 'FAILED', source: 'replicator@db.production:5432', attempt: 2 },
  ...{ startedAt: '2026-01-01T00:00:00.000Z', endedAt: '', snapshot: '' },
  progress: {
    step: 'DUMP',
    tablesDone: 1,
    tablesTotal: 2,
    bytesDone: 3,
    bytesTotal: 4,
    bytesPerSecond: 5,
    secondsLeft: 6,
  },
  error: { code: 'FAILED', message: 'db.production said jane@example.com', hint: 'ask replicator' },
  log: [{ at: '2026-01-01T00:00:00.000Z', level: 'info', message: 'db.production' }],
}

const view: Retrieval = {
  status: { code: 'FAILED', message: 'The last refresh failed: db.production' },
  sources: [{ kind: 'logical', description: 'replicator@db.production' }],
  ...{ schedule: '@daily', timeZone: 'UTC', nextRunAt: '', dataStateAt: '' },
  standby: {
    status: { code: 'BROKEN', message: 'db.production is silent' },
    ...{ lagSeconds: 1, lagBytes: 2, replayedLsn: '0/1', caughtUpAt: '', updatedAt: '' },
  },
  current: run,
  runs: [run],
}

test('whoever is no admin learns how far a run is and how it ended, and not from where or why', () => {
  const outline = outlineOfAll(view)
  for (const secret of SECRETS) expect(JSON.stringify(outline)).not.toContain(secret)
  expect(outline).toMatchObject({ status: { code: 'FAILED' }, schedule: '@daily', standby: { lagBytes: 2 } })
  expect(outline.current).toMatchObject({ id: 'r', attempt: 2, progress: run.progress, error: { code: 'FAILED' } })
  expect(Object.keys(outline.runs[0] ?? {}).sort()).toEqual(Object.keys(run).sort())
})
