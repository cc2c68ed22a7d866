import type { LabEvent, Role } from '@dblab/models'
import { expect, test } from 'vitest'
import { Catalogue } from '../catalogue/catalogue.ts'
import { LabError } from '../errors.ts'
import { EventHub } from '../events/event-hub.ts'
import { OpenStreams } from '../events/open-streams.ts'
import type { Caller } from './caller.ts'
import { CallerEvents, type EventFilter } from './caller-events.ts'

/** A lab with one token of each role, named after it. */
function lab(limits = { perToken: 2, inAll: 3, forAdmins: 0 }) {
  const catalogue = Catalogue.empty('lab')
  for (const role of ['member', 'viewer', 'admin'] as const) {
    const times = { createdAt: '2026-01-01', expiresAt: null, revokedAt: null, lastUsedAt: null }
    catalogue.tokens.add({ ...times, id: role, name: role, role, hash: role })
  }
  const hub = new EventHub()
  const streams = new OpenStreams(limits)
  const open = (role: Role, filter: EventFilter = {}, tokenId: string | null = role) => {
    const caller: Caller = { tokenId, name: role, role }
    const reader = new CallerEvents({ hub, streams }, catalogue, caller).open(filter, undefined)
    reader.take()
    return reader
  }
  return { catalogue, hub, open }
}

const subjectsOf = (text: string) =>
  [...text.matchAll(/^data: (.*)$/gm)].map(([, data = '']) => (JSON.parse(data) as LabEvent).subject)

test.each([
  ['admin', ['mine', 'theirs', 'first', 's', 'run']],
  ['viewer', ['mine', 'theirs', 'first', 's', 'run']],
  ['member', ['mine', 's', 'run']],
] as const)('%s sees the events of what it sees in the lists', (role, expected) => {
  const { hub, open } = lab()
  using reader = open(role)
  const changed = { action: 'changed' } as const
  hub.publish({ ...changed, type: 'clone', subject: 'mine' }, { owner: 'member', clone: 'mine' })
  hub.publish({ ...changed, type: 'clone', subject: 'theirs' }, { owner: 'other', clone: 'theirs' })
  hub.publish({ ...changed, type: 'clone', subject: 'first' }, { owner: null, clone: 'first' })
  hub.publish({ ...changed, type: 'snapshot', subject: 's' }, { clone: 'theirs' })
  hub.publish({ ...changed, type: 'retrieval', subject: 'run' })
  expect(subjectsOf(reader.take())).toEqual(expected)
})

test('what is about one clone is that clone, and the snapshots that were taken of it', () => {
  const { hub, open } = lab()
  using reader = open('admin', { clone: 'c', types: ['clone', 'snapshot'] })
  for (const clone of ['c', 'd']) {
    hub.publish({ type: 'clone', action: 'changed', subject: clone }, { owner: null, clone })
    hub.publish({ type: 'snapshot', action: 'deleted', subject: `of-${clone}` }, { clone })
  }
  hub.publish({ type: 'snapshot', action: 'changed', subject: 'of-base' }, { clone: '' })
  hub.publish({ type: 'retrieval', action: 'changed', subject: 'run' })
  expect(subjectsOf(reader.take())).toEqual(['c', 'of-c'])
})

test('a reader goes on until its token is revoked, expires, or is forgotten', () => {
  const { catalogue, open } = lab()
  using member = open('member')
  using viewer = open('viewer')
  using first = open('admin', {}, null)
  expect([member.mayGoOn, viewer.mayGoOn, first.mayGoOn]).toEqual([true, true, true])
  catalogue.tokens.revoke('member', new Date().toISOString())
  expect([member.mayGoOn, viewer.mayGoOn, first.mayGoOn]).toEqual([false, true, true])
  catalogue.tokens.revoke('viewer', '2026-01-02')
  catalogue.tokens.forgetEndedBefore('2026-01-03')
  expect([viewer.mayGoOn, first.mayGoOn]).toEqual([false, true])
})

test('so many may be open of one token, and so many in all; each place is given back', () => {
  const { open } = lab({ perToken: 2, inAll: 4, forAdmins: 1 })
  const refusal = (role: Role) => {
    try {
      open(role)[Symbol.dispose]()
      return undefined
    } catch (error) {
      return error instanceof LabError ? [error.code, error.message, error.retryAfterSeconds] : error
    }
  }
  const readers = [open('member'), open('member')]
  expect(refusal('member')).toEqual(['TOO_BUSY', '2 streams of this token are open already', 10])
  readers.push(open('viewer'))
  // One is left for admins.
  expect(refusal('viewer')).toEqual(['TOO_BUSY', '3 streams are open already', 10])
  readers.push(open('admin'))
  expect(refusal('admin')).toEqual(['TOO_BUSY', '4 streams are open already', 10])
  readers[0]?.[Symbol.dispose]()
  readers[1]?.[Symbol.dispose]()
  expect(refusal('admin')).toBeUndefined()
  expect(refusal('member')).toBeUndefined()
})
