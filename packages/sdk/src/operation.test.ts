import { describe, expectTypeOf, it } from 'vitest'
import type {
  AuditEntry,
  Clone,
  CreatedToken,
  ErrorCode,
  Health,
  Input,
  Instance,
  Lab,
  LabApiError,
  OperationName,
  Snapshot,
} from './index.ts'

// What is checked here is checked by the compiler; running it shows nothing.
declare const lab: Lab
const never = (_run: () => unknown): void => {}

/** Every operation there is, called. A missing or a surplus one does not compile. */
const calls = {
  'GET /status': () => lab.call('GET /status'),
  'GET /healthz': () => lab.call('GET /healthz'),
  'GET /clones': () =>
    lab.call('GET /clones', { query: { project: 'p', username: 'u', status: 'FATAL', limit: 1, after: 'x' } }),
  'GET /snapshots': () => lab.call('GET /snapshots'),
  'POST /snapshot': () => lab.call('POST /snapshot', { body: { cloneId: 'c1' } }),
  'PATCH /snapshot/{id}': () => lab.call('PATCH /snapshot/{id}', { path: { id: 's1' }, body: { protected: true } }),
  'DELETE /snapshot/{id}': () => lab.call('DELETE /snapshot/{id}', { path: { id: 's1' } }),
  'POST /clone': () =>
    lab.call('POST /clone', {
      body: { db: { username: 'u', password: 'p' } },
      query: { wait: 1 },
      header: { 'Idempotency-Key': 'k' },
    }),
  'GET /clone/{id}': () => lab.call('GET /clone/{id}', { path: { id: 'c1' }, query: { wait: 1 } }),
  'PATCH /clone/{id}': () => lab.call('PATCH /clone/{id}', { path: { id: 'c1' }, body: { deleteAt: null } }),
  'DELETE /clone/{id}': () => lab.call('DELETE /clone/{id}', { path: { id: 'c1' } }),
  'GET /tokens': () => lab.call('GET /tokens'),
  'POST /token': () => lab.call('POST /token', { body: { name: 'ci', role: 'member' } }),
  'DELETE /token/{id}': () => lab.call('DELETE /token/{id}', { path: { id: 't1' } }),
  'GET /retrieval': () => lab.call('GET /retrieval'),
  'POST /refresh': () => lab.call('POST /refresh'),
  'DELETE /refresh': () => lab.call('DELETE /refresh'),
  'GET /audit': () => lab.call('GET /audit', { query: { limit: 1, before: 2, clone: 'c1' } }),
  'POST /clone/{id}/reset': () => lab.call('POST /clone/{id}/reset', { path: { id: 'c1' } }),
} satisfies Record<OperationName, () => Promise<unknown>>

describe('the types of operations', () => {
  it('name every operation of the document', () => {
    expectTypeOf<keyof typeof calls>().toEqualTypeOf<OperationName>()
  })

  it('give each operation its answer', () => {
    expectTypeOf<ReturnType<(typeof calls)['GET /status']>>().resolves.toEqualTypeOf<Instance>()
    expectTypeOf<ReturnType<(typeof calls)['GET /healthz']>>().resolves.toEqualTypeOf<Health>()
    expectTypeOf<ReturnType<(typeof calls)['GET /clones']>>().resolves.toEqualTypeOf<Clone[]>()
    expectTypeOf<ReturnType<(typeof calls)['POST /snapshot']>>().resolves.toEqualTypeOf<Snapshot>()
    expectTypeOf<ReturnType<(typeof calls)['POST /clone']>>().resolves.toEqualTypeOf<Clone>()
    expectTypeOf<ReturnType<(typeof calls)['DELETE /clone/{id}']>>().resolves.toEqualTypeOf<Clone>()
    expectTypeOf<ReturnType<(typeof calls)['POST /token']>>().resolves.toEqualTypeOf<CreatedToken>()
    expectTypeOf<ReturnType<(typeof calls)['GET /audit']>>().resolves.toEqualTypeOf<AuditEntry[]>()
    expectTypeOf<ReturnType<(typeof calls)['DELETE /snapshot/{id}']>>().resolves.toEqualTypeOf<undefined>()
  })

  it('refuse what an operation does not take', () => {
    // @ts-expect-error there is no such operation
    never(() => lab.call('PUT /clone'))
    // @ts-expect-error its answer does not end: lab.events() reads it
    never(() => lab.call('GET /events'))
    // @ts-expect-error it needs an id
    never(() => lab.call('GET /clone/{id}'))
    // @ts-expect-error it needs a body
    never(() => lab.call('PATCH /clone/{id}', { path: { id: 'c1' } }))
    // @ts-expect-error it needs a password
    never(() => lab.call('POST /clone', { body: { db: { username: 'u' } } }))
    // @ts-expect-error seconds are a number
    never(() => lab.call('GET /clone/{id}', { path: { id: 'c1' }, query: { wait: '30' } }))
    // @ts-expect-error there is no such status
    never(() => lab.call('GET /clones', { query: { status: 'SLEEPING' } }))
    // @ts-expect-error it takes no body
    never(() => lab.call('GET /status', { body: {} }))
  })

  it('require just what the document requires', () => {
    expectTypeOf<Input<'GET /clone/{id}'>>().toEqualTypeOf<{ path: { id: string }; query?: { wait?: number } }>()
    expectTypeOf<Record<never, never>>().toExtend<Input<'POST /snapshot'>>()
    // Nor what is of use to caches alone.
    expectTypeOf<Input<'GET /status'>>().toEqualTypeOf<Record<string, never>>()
  })
})

describe('the type of error codes', () => {
  it('is a closed union, with UNKNOWN for what this version does not know', () => {
    expectTypeOf<LabApiError['code']>().toEqualTypeOf<ErrorCode | 'UNKNOWN'>()
    expectTypeOf<string>().not.toExtend<ErrorCode>()
    expectTypeOf<'CLONE_PROTECTED'>().toExtend<ErrorCode>()
    expectTypeOf<'NO_SUCH_CODE'>().not.toExtend<ErrorCode>()
  })
})
