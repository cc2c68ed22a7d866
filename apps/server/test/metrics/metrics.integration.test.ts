import type { Clone } from '@dblab/models'
import { isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createClone } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { type Family, numberOf, parseMetrics } from '../support/prometheus.ts'
import { statusOf } from '../support/whole.ts'

type Metrics = Map<string, Family>

async function metricsOf(lab: TestLab): Promise<Metrics> {
  const response = await lab.fetch('/metrics')
  expect(response.status).toBe(200)
  return parseMetrics(await response.text())
}

async function reset(lab: TestLab, id: string): Promise<Clone> {
  return (await (await lab.fetch(`/clone/${id}/reset?wait=60`, { method: 'POST' })).json()) as Clone
}

async function remove(lab: TestLab, id: string): Promise<void> {
  expect((await lab.fetch(`/clone/${id}`, { method: 'DELETE' })).status).toBe(202)
  await eventually(`${id} is gone`, async () => (await lab.fetch(`/clone/${id}`)).status === 404)
}

/** By operation, in the order ok, failed, aborted. */
function operationsIn(metrics: Metrics): Record<string, (number | undefined)[]> {
  const count = (operation: string, outcome: string) =>
    numberOf(metrics, 'dblab_clone_operations_total', { operation, outcome })
  return Object.fromEntries(
    ['creation', 'reset', 'deletion'].map((operation) => [
      operation,
      ['ok', 'failed', 'aborted'].map((outcome) => count(operation, outcome)),
    ]),
  )
}

function requestsIn(metrics: Metrics, method: string, path: string, status: string): number | undefined {
  return numberOf(metrics, 'dblab_http_request_seconds_count', { method, path, status })
}

describe('GET /metrics', { timeout: 240_000 }, () => {
  test('has what creations, resets and deletions came to, and none of their names', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    // Of the creations the third fails and the fourth takes long; of the resets, whose steps come after theirs, the second fails.
    const faults = [
      { point: 'create.volume-noted', action: 'throw', skip: 2 },
      { point: 'create.done', action: 'delay', skip: 2, delayMs: 5000 },
      { point: 'reset.volume-noted', action: 'throw', skip: 1 },
    ]
    await lab.start([], { DBLAB_FAULTS: JSON.stringify({ faults }) })
    expect(operationsIn(await metricsOf(lab))).toEqual({
      creation: [0, 0, 0],
      reset: [0, 0, 0],
      deletion: [0, 0, undefined],
    })
    const names = { username: 'canary-user', project: 'canary-project', name: 'canary-name' }
    const first = await createClone(lab, { id: 'canary-one', ...names })
    const second = await createClone(lab, { id: 'canary-two', profile: 'test' })
    const failed = await createClone(lab, { id: 'canary-three' })
    expect([first, second, failed].map(({ status }) => status.code)).toEqual(['OK', 'OK', 'FATAL'])
    const given = await lab.fetch('/clone', { method: 'POST', json: { id: 'canary-four', db: first.db, ...names } })
    expect(given.status).toBe(400)
    const db = { username: 'canary-login', password: 'canary-password' }
    expect((await lab.fetch('/clone', { method: 'POST', json: { id: 'canary-four', db } })).status).toBe(201)
    await remove(lab, 'canary-four')
    const again = await reset(lab, 'canary-one')
    expect((await reset(lab, 'canary-one')).resetFailedAt).not.toBe('')
    await remove(lab, 'canary-two')

    const metrics = await metricsOf(lab)
    expect(operationsIn(metrics)).toEqual({ creation: [2, 1, 1], reset: [1, 1, 0], deletion: [2, 0, undefined] })
    for (const { profile, cloningTime } of [first, second]) {
      const labels = { start: 'cold', profile }
      expect(numberOf(metrics, 'dblab_clone_creation_seconds_count', labels)).toBe(1)
      expect(numberOf(metrics, 'dblab_clone_creation_seconds_sum', labels)).toBeCloseTo(cloningTime, 6)
    }
    const total = again.steps.reduce((sum, { seconds }) => sum + seconds, 0)
    expect(numberOf(metrics, 'dblab_clone_reset_seconds_count', { profile: 'dev' })).toBe(1)
    expect(
      Math.abs((numberOf(metrics, 'dblab_clone_reset_seconds_sum', { profile: 'dev' }) ?? 0) - total),
    ).toBeLessThan(0.2)
    for (const step of ['queue', 'volume', 'postgres', 'user', 'login']) {
      const of = (clone: Clone) => clone.steps.find(({ name }) => name === step)?.seconds ?? Number.NaN
      const taken = (what: string, operation: string) =>
        numberOf(metrics, `dblab_clone_step_seconds_${what}`, { operation, step })
      expect(taken('count', 'creation'), step).toBe(2)
      expect(taken('sum', 'creation'), step).toBeCloseTo(of(first) + of(second), 6)
      expect([taken('count', 'reset'), taken('sum', 'reset')], step).toEqual([1, expect.closeTo(of(again), 6)])
    }
    expect(['OK', 'FATAL', 'DELETING'].map((status) => numberOf(metrics, 'dblab_clones', { status }))).toEqual([
      1, 1, 0,
    ])
    expect(numberOf(metrics, 'dblab_warm_lookups_total', { result: 'miss' })).toBe(0)
    expect(requestsIn(metrics, 'POST', '/clone', '2xx')).toBe(4)
    expect(requestsIn(metrics, 'POST', '/clone', '4xx')).toBe(1)
    expect(requestsIn(metrics, 'POST', '/clone/{id}/reset', '2xx')).toBe(2)
    expect(requestsIn(metrics, 'DELETE', '/clone/{id}', '2xx')).toBe(2)
    const { disk, snapshots } = await statusOf(lab)
    expect(numberOf(metrics, 'dblab_pool_size_bytes')).toBe(disk.size)
    expect(numberOf(metrics, 'dblab_snapshots')).toBe(snapshots.length)
    expect(numberOf(metrics, 'dblab_data_timestamp_seconds')).toBe(Date.parse(snapshots[0]?.timestamp ?? '') / 1000)
    const text = await (await lab.fetch('/metrics')).text()
    for (const secret of ['canary', lab.token, lab.directory, String(first.db.port)]) expect(text).not.toContain(secret)

    await lab.interrupt()
    await lab.start()
    expect(operationsIn(await metricsOf(lab)).creation).toEqual([0, 0, 0])
  })

  test('is for who has a token, in either header, whatever its role', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    for (const headers of [{}, { Authorization: 'Bearer wrong' }, { 'Verification-Token': 'wrong' }]) {
      const response = await lab.fetch('/metrics', { token: null, headers })
      expect([response.status, response.headers.get('Content-Type')]).toEqual([401, 'application/json; charset=utf-8'])
      expect(await response.text()).not.toContain('dblab_')
    }
    for (const role of ['viewer', 'member', 'admin']) {
      const made = await lab.fetch('/token', { method: 'POST', json: { name: `a-${role}`, role } })
      const { token } = (await made.json()) as { token: string }
      for (const headers of [{ Authorization: `Bearer ${token}` }, { 'Verification-Token': token }]) {
        const response = await lab.fetch('/metrics', { token: null, headers })
        expect(response.headers.get('Content-Type')).toBe('text/plain; version=0.0.4; charset=utf-8')
        expect(parseMetrics(await response.text()).size).toBeGreaterThan(20)
      }
    }
    const head = await lab.fetch('/metrics', { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    expect(requestsIn(await metricsOf(lab), 'GET', '/metrics', '4xx')).toBe(3)
  })

  const lacking = isRoot ? '' : ' (skipped: only root can make the pool)'
  test.skipIf(lacking !== '')(
    `tells creations that found an instance ready from those that did not${lacking}`,
    async () => {
      await using lab = await TestLab.make({ driver: 'btrfs', config: { clones: { warm: 1 } } })
      await lab.start()
      const ready = async () => numberOf(await metricsOf(lab), 'dblab_warm_instances')
      await eventually('one stands ready', async () => (await ready()) === 1)
      expect((await createClone(lab)).steps.map(({ name }) => name)).toEqual(['handover'])
      const cold = await createClone(lab, { profile: 'test' })
      expect(cold.steps.map(({ name }) => name)).toContain('postgres')
      const metrics = await metricsOf(lab)
      const lookups = (result: string) => numberOf(metrics, 'dblab_warm_lookups_total', { result })
      expect([lookups('hit'), lookups('miss')]).toEqual([1, 1])
      const creations = (start: string, profile: string) =>
        numberOf(metrics, 'dblab_clone_creation_seconds_count', { start, profile })
      expect([creations('warm', 'dev'), creations('cold', 'test')]).toEqual([1, 1])
      expect([creations('cold', 'dev'), creations('warm', 'test')]).toEqual([undefined, undefined])
      expect(numberOf(metrics, 'dblab_clone_step_seconds_count', { operation: 'creation', step: 'handover' })).toBe(1)
    },
  )
})
