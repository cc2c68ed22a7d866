import type { Clone } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { type Api, unique } from './api.ts'

const PAST = '2020-01-01T00:00:00Z'

export function deleteContract(api: () => Api): void {
  describe('DELETE /clone/{id}', () => {
    test('answers with the clone in DELETING, twice too; then it is gone', async () => {
      await using clone = await api().clone({}, { wait: 60 })
      for (const _time of [1, 2]) {
        const { status, body } = await api().call<Clone>('DELETE', clone.path)
        expect(status).toBe(202)
        expect(body.status.code).toBe('DELETING')
      }
      await api().untilGone(clone.id)
      await api().refused('CLONE_NOT_FOUND', 'DELETE', clone.path)
      await api().refused('CLONE_NOT_FOUND', 'PATCH', clone.path, { json: { name: 'x' } })
      await api().refused('CLONE_NOT_FOUND', 'POST', `${clone.path}/reset`)
      await expect(clone.sql('select 1')).rejects.toThrow(/ECONNREFUSED/)
    })

    test('stops a creation that is under way, and frees its id', async () => {
      const id = unique('again')
      await using first = await api().clone({ id })
      await api().call('DELETE', first.path)
      await api().untilGone(id)
      await using second = await api().clone({ id }, { wait: 60 })
      expect(second.id).toBe(id)
    })

    test('is refused for a protected clone, until it is protected no more', async () => {
      await using clone = await api().clone({ protected: true })
      await api().refused('CLONE_PROTECTED', 'DELETE', clone.path)
      await api().call('PATCH', clone.path, { json: { protected: false } })
      expect((await api().call('DELETE', clone.path)).status).toBe(202)
    })
  })

  test('deleteAt deletes a clone whose time is over, and never a protected one', async () => {
    await using kept = await api().clone({ protected: true, deleteAt: PAST }, { wait: 60 })
    await using gone = await api().clone({ deleteAt: PAST })
    await api().untilGone(gone.id)
    expect((await api().get<Clone>(kept.path)).body).toMatchObject({
      deleteAt: '2020-01-01T00:00:00.000Z',
      status: { code: 'OK' },
    })
    await api().call('PATCH', kept.path, { json: { deleteAt: null } })
  })
}
