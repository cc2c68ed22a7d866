import type { Clone, Snapshot } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { type Api, unique } from './api.ts'

const ORDERS = 'select count(*)::int as n from orders'

export function resetContract(api: () => Api): void {
  describe('POST /clone/{id}/reset', () => {
    test('gives the data back at the same host, port, user and password, RESETTING meanwhile', async () => {
      await using clone = await api().clone({ name: 'kept' }, { wait: 60 })
      const [before] = await clone.sql<{ n: number }>(ORDERS)
      expect(before?.n).toBeGreaterThan(0)
      await clone.sql('drop table orders cascade')
      const { status, body } = await api().call<Clone>('POST', `${clone.path}/reset`)
      expect(status).toBe(202)
      expect(body.status.code).toBe('RESETTING')
      const after = await api().until(clone.id, 'OK')
      expect(after).toMatchObject({ name: 'kept', db: clone.answer.body.db, createdAt: clone.answer.body.createdAt })
      expect(await clone.sql(ORDERS)).toEqual([before])
    })

    test('waits when asked to, and goes to the snapshot of the body', async () => {
      const id = unique('snapshot')
      const made = await api().call<Snapshot>('POST', '/snapshot', { json: { id } })
      expect(made.status).toBe(201)
      {
        const [newest] = (await api().get<Snapshot[]>('/snapshots')).body
        await using clone = await api().clone({ snapshot: newest?.id === id ? '' : newest?.id }, { wait: 60 })
        const { body } = await api().call<Clone>('POST', `${clone.path}/reset?wait=60`, { json: { snapshot: id } })
        expect(body).toMatchObject({ snapshot: id, status: { code: 'OK' } })
        await api().refused('SNAPSHOT_NOT_FOUND', 'POST', `${clone.path}/reset`, { json: { snapshot: 'nope' } })
        expect(await clone.sql('select 1 as one')).toEqual([{ one: 1 }])
      }
      expect((await api().call('DELETE', `/snapshot/${id}`)).status).toBe(204)
    })

    test('is refused for a protected clone', async () => {
      await using clone = await api().clone({ protected: true }, { wait: 60 })
      await api().refused('CLONE_PROTECTED', 'POST', `${clone.path}/reset`)
      expect((await api().get<Clone>(clone.path)).body.status.code).toBe('OK')
    })
  })
}
