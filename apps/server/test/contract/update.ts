import type { Clone } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import type { Api } from './api.ts'

export function updateContract(api: () => Api): void {
  describe('PATCH /clone/{id}', () => {
    test('changes the field that is named, and nothing else', async () => {
      await using clone = await api().clone({ name: 'a', project: 'b', username: 'c' }, { wait: 60 })
      const changes: [field: string, value: unknown, answered: unknown][] = [
        ['name', 'Another name', 'Another name'],
        ['name', '', ''],
        ['project', 'other', 'other'],
        ['username', 'carol', 'carol'],
        ['protected', true, true],
        ['deleteAt', '2999-01-01T00:00:00+02:00', '2998-12-31T22:00:00.000Z'],
        ['deleteAt', null, ''],
        ['deleteAt', '2999-01-01', '2999-01-01T00:00:00.000Z'],
        ['deleteAt', '', ''],
      ]
      let before = (await api().get<Clone>(clone.path)).body
      for (const [field, value, answered] of changes) {
        const { status, body } = await api().call<Clone>('PATCH', clone.path, { json: { [field]: value } })
        expect(status).toBe(200)
        // Its size is measured in the background.
        before = { ...before, [field]: answered, cloneSize: body.cloneSize }
        expect(body).toEqual(before)
      }
    })

    test('refuses every other field, and then changes nothing', async () => {
      await using clone = await api().clone({ name: 'before' })
      for (const field of ['id', 'status', 'snapshot', 'db', 'createdAt', 'cloneSize', 'cloningTime', 'password']) {
        const json = { name: 'after', [field]: 'x' }
        const { body } = await api().refused('INVALID_REQUEST', 'PATCH', clone.path, { json })
        expect(body.detail).toBe(`${field}: there is no such field`)
      }
      expect((await api().get<Clone>(clone.path)).body.name).toBe('before')
    })

    test('says how a field must be', async () => {
      await using clone = await api().clone()
      const refusals: [field: string, value: unknown, sentence: string][] = [
        ['name', null, 'must be a text'],
        ['name', 7, 'must be a text'],
        ['protected', null, 'must be true or false'],
        ['protected', 'true', 'must be true or false'],
        ['deleteAt', 7, 'must be a text, or must be null'],
        ['deleteAt', 'x'.repeat(41), 'must have at most 40 characters, or must be null'],
        ['deleteAt', 'tomorrow', 'must be an ISO 8601 time such as 2026-01-31T12:00:00Z'],
      ]
      for (const [field, value, sentence] of refusals) {
        const { body } = await api().refused('INVALID_REQUEST', 'PATCH', clone.path, { json: { [field]: value } })
        expect(body.detail).toBe(`${field}: ${sentence}`)
      }
    })

    test('refuses a time of deletion that is over, as a creation does', async () => {
      await using clone = await api().clone()
      const json = { deleteAt: '2020-01-01T00:00:00Z' }
      const sentence = expect.stringMatching(/^deleteAt: must be in the future; here it is \d{4}-.*Z$/)
      expect((await api().refused('INVALID_REQUEST', 'PATCH', clone.path, { json })).body.detail).toEqual(sentence)
      const db = { username: 'alice', password: 'a password of the tests' }
      const creation = await api().refused('INVALID_REQUEST', 'POST', '/clone', { json: { ...json, db } })
      expect(creation.body.detail).toEqual(sentence)
    })
  })
}
