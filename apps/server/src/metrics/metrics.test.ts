import { readFileSync } from 'node:fs'
import type { CloneStepName } from '@dblab/models'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type FullApp, fullApp } from '../../test/support/full-app.ts'
import { type Family, numberOf, parseMetrics } from '../../test/support/prometheus.ts'
import { cloneRow } from '../../test/support/rows.ts'

let app: FullApp
beforeEach(async () => {
  app = await fullApp()
})
afterEach(() => app[Symbol.asyncDispose]())

async function read(): Promise<Map<string, Family>> {
  const response = await app.fetch('/metrics')
  expect([response.status, response.headers.get('Content-Type')]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
  ])
  return parseMetrics(await response.text())
}

function seriesOf(families: Map<string, Family>): number {
  return [...families.values()].reduce((sum, { samples }) => sum + samples.length, 0)
}

test('what ended is counted from 0 on, before the first of it', async () => {
  const none = await read()
  const count = (families: Map<string, Family>, operation: string, outcome: string) =>
    numberOf(families, 'dblab_clone_operations_total', { operation, outcome })
  expect(none.get('dblab_clone_operations_total')?.samples.map(({ value }) => value)).toEqual(Array(8).fill(0))
  const steps = (...names: CloneStepName[]) => names.map((name) => ({ name, seconds: 0.002 }))
  const { ends } = app.lifecycle.books
  const cold = { start: 'cold', profile: 'dev', seconds: 0.045, steps: steps('queue', 'volume') } as const
  ends.tell({ operation: 'creation', outcome: 'ok', took: cold })
  // Known of after a restart of the server: how long it took is not.
  ends.tell({ operation: 'creation', outcome: 'ok', took: { ...cold, seconds: undefined } })
  const warm = { start: 'warm', profile: 'test', seconds: 0.004, steps: steps('handover') } as const
  ends.tell({ operation: 'creation', outcome: 'ok', took: warm })
  ends.tell({ operation: 'reset', outcome: 'ok', took: { ...cold, seconds: 90 } })
  ends.tell({ operation: 'reset', outcome: 'aborted' })
  ends.tell({ operation: 'deletion', outcome: 'failed' })
  const some = await read()
  expect([count(some, 'creation', 'ok'), count(some, 'creation', 'failed'), count(some, 'reset', 'ok')]).toEqual([
    3, 0, 1,
  ])
  expect([count(some, 'reset', 'aborted'), count(some, 'deletion', 'failed')]).toEqual([1, 1])
  const creations = (suffix: string, labels: Record<string, string>) =>
    numberOf(some, `dblab_clone_creation_seconds_${suffix}`, labels)
  const dev = { start: 'cold', profile: 'dev' }
  expect([creations('count', dev), creations('sum', dev)]).toEqual([1, 0.045])
  expect([creations('bucket', { ...dev, le: '0.04' }), creations('bucket', { ...dev, le: '0.05' })]).toEqual([0, 1])
  expect(creations('bucket', { start: 'warm', profile: 'test', le: '0.005' })).toBe(1)
  expect(numberOf(some, 'dblab_clone_reset_seconds_bucket', { profile: 'dev', le: '60' })).toBe(0)
  expect(numberOf(some, 'dblab_clone_reset_seconds_count', { profile: 'dev' })).toBe(1)
  expect(numberOf(some, 'dblab_clone_step_seconds_count', { operation: 'creation', step: 'volume' })).toBe(2)
  expect(numberOf(some, 'dblab_clone_step_seconds_count', { operation: 'reset', step: 'queue' })).toBe(1)
})

test('whatever is sent, there are no more series, and none bears what somebody chose', {
  timeout: 30_000,
}, async () => {
  const send = async (mark: string) => {
    const paths = [`/clone/${mark}`, `/${mark}`, `/clone/${mark}/${mark}`, `/clones?project=${mark}`, `/docs/${mark}`]
    const methods = ['GET', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'PURGE']
    const requests = paths.flatMap((path) => methods.map((method) => app.fetch(path, {}, { method })))
    await Promise.all(requests)
    await app.fetch('/clones', { Authorization: `Bearer ${mark}` })
    await app.fetch('/clone', { 'Content-Type': 'application/json' }, { method: 'POST', body: `{"id":"${mark}"}` })
    app.token(`token-of-${mark}`, 'viewer')
    const names = { id: mark, name: mark, username: mark, project: mark, dbName: mark, dbUsername: mark }
    app.catalogue.clones.add({ ...cloneRow(0), ...names, volumeId: null, port: 20_000 + Number(mark.split('-')[1]) })
  }
  await send('canary-1')
  await read()
  const before = await read()
  await send('canary-2')
  await send('canary-3')
  const after = await read()
  expect(seriesOf(after)).toBe(seriesOf(before))
  expect(JSON.stringify([...after])).not.toContain('canary')
  const paths = new Set(after.get('dblab_http_request_seconds')?.samples.map(({ labels }) => labels.path))
  expect(paths).toEqual(new Set(['/clone/{id}', '/clones', '/clone', '/metrics', 'other']))
  const methods = new Set(after.get('dblab_http_request_seconds')?.samples.map(({ labels }) => labels.method))
  expect(methods).toEqual(new Set(['GET', 'PATCH', 'DELETE', 'OPTIONS', 'POST', 'other']))
  const refused = { method: 'GET', path: '/clones', status: '4xx' }
  expect(numberOf(after, 'dblab_http_request_seconds_count', refused)).toBe(3)
  expect(numberOf(after, 'dblab_clones', { status: 'OK' })).toBe(3)
})

test('the lab is told of as it is', async () => {
  const gib = 1024 ** 3
  const families = await read()
  const values = (...names: string[]) => names.map((name) => numberOf(families, name))
  const pool = values(
    'dblab_pool_size_bytes',
    'dblab_pool_used_bytes',
    'dblab_pool_free_bytes',
    'dblab_pool_freeing_bytes',
  )
  expect(pool).toEqual([100 * gib, 10 * gib, 90 * gib, 0])
  expect(values('dblab_snapshots', 'dblab_jobs_running', 'dblab_jobs_waiting')).toEqual([1, 0, 0])
  expect(values('dblab_refresh_running', 'dblab_warm_instances', 'dblab_warm_instances_wanted')).toEqual([0, 0, 0])
  for (const status of ['OK', 'CREATING', 'RESETTING', 'DELETING', 'FATAL'])
    expect(numberOf(families, 'dblab_clones', { status }), status).toBe(0)
  expect(families.get('dblab_refresh_ended_timestamp_seconds')?.samples).toEqual([])
  expect(values('process_resident_memory_bytes')[0]).toBeGreaterThan(10e6)
  expect(Math.abs((values('process_start_time_seconds')[0] ?? 0) - Date.now() / 1000)).toBeLessThan(3600)
  expect(values('nodejs_eventloop_lag_p99_seconds')[0]).toBeGreaterThanOrEqual(0)
})

test('one operation that runs holds up those behind it, and that shows', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const asker = { tokenId: null, username: '' }
  const jobs = ['a', 'b', 'c'].map((key) => app.jobs.add(key, () => promise, { asker }))
  const during = await read()
  expect(numberOf(during, 'dblab_jobs_running')).toBe(1)
  expect(numberOf(during, 'dblab_jobs_waiting')).toBe(2)
  resolve()
  await Promise.all(jobs)
  expect(numberOf(await read(), 'dblab_jobs_running')).toBe(0)
})

test('each is in the documentation, and nothing else is', async () => {
  const page = readFileSync(new URL('../../../../docs/running.md', import.meta.url), 'utf8')
  const documented = [...page.matchAll(/^\| `((?:dblab|process|nodejs)_\w+)`/gm)].map(([, name]) => name)
  expect(documented.sort()).toEqual([...(await read()).keys()].sort())
})
