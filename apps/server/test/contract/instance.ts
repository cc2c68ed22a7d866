import type { Clone, Instance } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { type Api, text, utcTime } from './api.ts'

export function instanceContract(api: () => Api): void {
  describe('GET /status', () => {
    test('expects no time before the first clone, and the median of the successful ones after', async () => {
      expect((await api().get<Instance>('/status')).body).toMatchObject({
        expectedCloningTime: 0,
        numClones: 0,
        clones: [],
      })
      await using one = await api().clone({}, { wait: 60 })
      expect(await expected(api())).toBe(one.answer.body.cloningTime)
      await using two = await api().clone({}, { wait: 60 })
      await using three = await api().clone({}, { wait: 60 })
      // Given up while it is made: no measure of anything.
      await using given = await api().clone()
      await api().call('DELETE', given.path)
      await api().untilGone(given.id)
      const times = [one, two, three].map(({ answer }) => answer.body.cloningTime).sort((a, b) => a - b)
      expect(times[0]).toBeGreaterThan(0)
      expect(await expected(api())).toBe(times[1])
    })

    test('has every field, with disk sizes in bytes and times in UTC', async () => {
      await using clone = await api().clone({}, { wait: 60 })
      // Measured behind it; then nothing of it changes any more.
      const measured = async () => (await api().get<Clone>(clone.path)).body.cloneSize
      await expect.poll(measured, { timeout: 20_000 }).toBeGreaterThan(0)
      // What clones before it have left is removed in its own time.
      const freeing = async () => (await api().get<Instance>('/status')).body.disk.freeing
      await expect.poll(freeing, { timeout: 20_000 }).toBe(0)
      const { status, body } = await api().get<Instance>('/status')
      expect(status).toBe(200)
      expect(body).toEqual({
        status: { code: 'OK', message: 'DB Lab is ready' },
        warnings: [],
        disk: {
          size: expect.any(Number),
          free: expect.any(Number),
          used: expect.any(Number),
          freeing: 0,
          updatedAt: utcTime,
        },
        pool: expect.objectContaining({ driver: 'copy', health: 'OK', cloneSizeIsOwn: false }),
        expectedCloningTime: expect.any(Number),
        numClones: 1,
        warm: { ready: 0, target: 0 },
        clones: [(await api().get<Clone>(clone.path)).body],
        snapshots: [expect.objectContaining({ id: text, timestamp: utcTime, numClones: 1 })],
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        startedAt: utcTime,
      })
      expect(body.disk.size).toBeGreaterThan(1e9)
      expect(body.disk.free).toBeGreaterThan(0)
      expect(body.disk.free).toBeLessThan(body.disk.size)
      expect(body.snapshots).toEqual((await api().get('/snapshots')).body)
    })
  })

  test('GET /healthz answers without a token', async () => {
    const { status, body } = await api().call('GET', '/healthz', { token: null })
    expect(status).toBe(200)
    expect(body).toEqual({ status: 'OK', version: expect.any(String) })
  })
}

async function expected(api: Api): Promise<number> {
  return (await api.get<Instance>('/status')).body.expectedCloningTime
}
