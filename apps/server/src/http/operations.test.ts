import { expect, test } from 'vitest'
import { operationFinder } from './operations.ts'

const find = operationFinder({ paths: { '/clone/{id}': { delete: { operationId: 'CloneDelete', security: [{}] } } } })

// The audit log says by it what a request was about.
test.each([
  ['/clone/my-clone', 'my-clone'],
  ['/clone/%6dy-clone', 'my-clone'],
  ['/clone/%e0%a4%a', undefined],
])('what %s names is %s, as whoever answers sees it', (path, target) => {
  expect(find('DELETE', path)).toMatchObject({ id: 'CloneDelete', target })
})
