import type { Clone, Error as WireError } from '@dblab/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FullApp, fullApp } from '../../test/support/full-app.ts'
import { cloneRow } from '../../test/support/rows.ts'

let app: FullApp
beforeAll(async () => {
  app = await fullApp()
  app.catalogue.transaction(() => {
    for (let number = 0; number < 2000; number++) {
      app.catalogue.clones.add(cloneRow(number, { project: number % 2 === 0 ? 'a & b' : 'odd' }))
    }
  })
})
afterAll(() => app[Symbol.asyncDispose]())

async function page(path: string, headers: Record<string, string> = {}) {
  const response = await app.fetch(path, headers)
  const link = response.headers.get('Link')
  const [, target] = /^<([^<>]+)>; rel="next"$/.exec(link ?? '') ?? []
  // As RFC 8288 has it: relative to what was asked for.
  const next = target === undefined ? undefined : new URL(target, response.url)
  const clones = response.status === 200 ? ((await response.json()) as Clone[]) : []
  return { status: response.status, headers: response.headers, clones, link, next }
}

describe('GET /clones', () => {
  test('without a limit all come in one answer, without a link', async () => {
    const { clones, link } = await page('/clones')
    expect([clones.length, link]).toEqual([2000, null])
  })

  test('with a limit the links lead from page to page, with the same filter, to the end', async () => {
    let path = `/clones?${new URLSearchParams({ project: 'a & b', status: 'OK', limit: '300' })}`
    const sizes: number[] = []
    const ids: string[] = []
    for (;;) {
      const { clones, next } = await page(path)
      sizes.push(clones.length)
      ids.push(...clones.map(({ id }) => id))
      if (!next) break
      expect(next.pathname).toBe('/clones')
      path = next.pathname + next.search
    }
    expect(sizes).toEqual([300, 300, 300, 100])
    expect(ids).toEqual(Array.from({ length: 1000 }, (_, half) => cloneRow(2 * half).id))
  })

  test('a link holds behind a proxy that puts a path in front', async () => {
    const { link } = await page('/clones?limit=1')
    const target = /<(.*)>/.exec(link ?? '')?.[1] ?? ''
    expect(new URL(target, 'https://example.com/lab/clones?limit=1').href).toMatch(
      /^https:\/\/example\.com\/lab\/clones\?limit=1&after=[\w-]+$/,
    )
  })

  test('a page of which nothing has changed is another answer once there is a page behind it', async () => {
    const { next } = await page('/clones?limit=999')
    const path = `/clones${next?.search.replace('999', '1000')}`
    app.catalogue.clones.delete(cloneRow(1999).id)
    const last = await page(path)
    expect([last.clones.length, last.next]).toEqual([1000, undefined])
    app.catalogue.clones.add(cloneRow(1999, { project: 'odd' }))
    const again = await page(path, { 'If-None-Match': last.headers.get('ETag') ?? '' })
    expect([again.status, again.clones]).toEqual([200, last.clones])
    expect(again.next).toBeDefined()
    const unchanged = await page(path, { 'If-None-Match': again.headers.get('ETag') ?? '' })
    expect([unchanged.status, unchanged.link]).toEqual([304, again.link])
  })

  test.each([
    ['limit=0', 'limit: must be at least 1'],
    ['limit=-1', 'limit: must be at least 1'],
    ['limit=1001', 'limit: must be at most 1000'],
    ['limit=1.5', 'limit: must be a whole number'],
    ['limit=ten', 'limit: must be a whole number'],
    ['limit=', 'limit: must be a whole number'],
    ['after=nope', 'after: must be as the Link header of the page before has it'],
    ['after=', 'after: must be as the Link header of the page before has it'],
    [`after=${'x'.repeat(201)}`, 'after: must have at most 200 characters'],
    ['after=a&after=b', 'after: must be a text'],
    [
      'offset=1',
      'the query has a parameter that there is not: this path takes project, username, status, limit, after',
    ],
  ])('refuses %s', async (query, detail) => {
    const response = await app.fetch(`/clones?${query}`)
    const error = (await response.json()) as WireError
    expect([response.status, error]).toEqual([
      400,
      {
        ...{ code: 'INVALID_REQUEST', name: 'Invalid request', detail, requestId: expect.any(String) },
        hint: 'Change the fields that the detail names; /docs has the form of every request',
      },
    ])
  })
})
