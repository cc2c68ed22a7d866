import type { Clone } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { type Api, PASSWORD, unique } from './api.ts'

export function idempotencyContract(api: () => Api): void {
  describe('Idempotency-Key', () => {
    test('answers a retry with the clone that the first request made', async () => {
      const headers = { 'Idempotency-Key': unique('key') }
      await using clone = await api().clone({ project: 'a' }, { headers })
      await using again = await api().clone({ project: 'a' }, { headers })
      expect(again.id).toBe(clone.id)
      expect(again.answer.headers.get('Location')).toBe(clone.path)
    })

    test('makes one clone of ten requests at once', async () => {
      const headers = { 'Idempotency-Key': unique('key') }
      const project = unique('project')
      const json = { project, db: { username: 'alice', password: PASSWORD } }
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => api().call<Clone>('POST', '/clone', { json, headers })),
      )
      const made = (await api().get<Clone[]>(`/clones?project=${project}`)).body
      for (const { id } of made) await api().remove(id)
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 201))
      expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
      expect(made).toHaveLength(1)
    })

    test('makes one clone of ten requests at once that name it', async () => {
      const headers = { 'Idempotency-Key': unique('key') }
      const id = unique('named')
      const json = { id, db: { username: 'alice', password: PASSWORD } }
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => api().call<Clone>('POST', '/clone', { json, headers })),
      )
      await api().remove(id)
      expect(answers.map(({ status, body }) => [status, body.id])).toEqual(Array.from({ length: 10 }, () => [201, id]))
    })

    test('is refused for another request, whatever is different', async () => {
      const headers = { 'Idempotency-Key': unique('key') }
      await using _clone = await api().clone({ project: 'a', username: 'b' }, { headers })
      const same = { project: 'a', username: 'b', db: { username: 'alice', password: PASSWORD } }
      const changes = [
        { project: 'other' },
        { username: 'other' },
        { name: 'other' },
        { snapshot: '2999-01-01' },
        { db: { username: 'other', password: PASSWORD } },
      ]
      for (const change of changes) {
        const json = { ...same, ...change }
        await api().refused('IDEMPOTENCY_KEY_REUSED', 'POST', '/clone', { json, headers })
      }
    })
  })
}
