import type { Clone } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { type Api, unique } from './api.ts'

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
    const deleteAt = new Date(Date.now() + 2000).toISOString()
    await using kept = await api().clone({ protected: true, deleteAt })
    await using gone = await api().clone({ deleteAt })
    await api().untilGone(gone.id)
    expect((await api().get<Clone>(`${kept.path}?wait=60`)).body).toMatchObject({ deleteAt, status: { code: 'OK' } })
    // What was read may be sent back, though its time is over.
    expect((await api().call('PATCH', kept.path, { json: { deleteAt, name: 'kept' } })).status).toBe(200)
    expect((await api().call('PATCH', kept.path, { json: { deleteAt: null } })).status).toBe(200)
  })
}
