import type { AuditEntry, Clone, Role, Token } from '@dblab/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PASSWORD } from '../contract/api.ts'
import { TestLab } from '../support/lab.ts'
import { People, type Person } from './people.ts'

/** What there is for an operation to be about: the sender's own where it may have some. */
interface World {
  clone: string
  snapshot: string
  token: string
}

interface Step {
  operation: string
  /** The least role that may. */
  least: Role
  /** What whoever may is answered. */
  status: number
  request: (world: World) => [method: string, path: string, json?: unknown]
}

const db = { username: 'alice', password: PASSWORD }

/** Each operation once, in an order in which each finds what it is about. */
const steps: Step[] = [
  {
    operation: 'CloneCreate',
    least: 'member',
    status: 201,
    request: ({ clone }) => ['POST', '/clone?wait=60', { id: clone, db }],
  },
  { operation: 'CloneGet', least: 'viewer', status: 200, request: ({ clone }) => ['GET', `/clone/${clone}`] },
  { operation: 'CloneList', least: 'viewer', status: 200, request: () => ['GET', '/clones'] },
  { operation: 'StatusStatus', least: 'viewer', status: 200, request: () => ['GET', '/status'] },
  { operation: 'MetricsRead', least: 'viewer', status: 200, request: () => ['GET', '/metrics'] },
  { operation: 'SnapshotList', least: 'viewer', status: 200, request: () => ['GET', '/snapshots'] },
  { operation: 'RetrievalGet', least: 'viewer', status: 200, request: () => ['GET', '/retrieval'] },
  { operation: 'EventWatch', least: 'viewer', status: 200, request: () => ['GET', '/events'] },
  {
    operation: 'CloneUpdate',
    least: 'member',
    status: 200,
    request: ({ clone }) => ['PATCH', `/clone/${clone}`, { name: 'new' }],
  },
  {
    operation: 'SnapshotCreate',
    least: 'member',
    status: 201,
    request: ({ clone, snapshot }) => ['POST', '/snapshot', { cloneId: clone, id: snapshot }],
  },
  {
    operation: 'SnapshotUpdate',
    least: 'member',
    status: 200,
    request: ({ snapshot }) => ['PATCH', `/snapshot/${snapshot}`, { message: 'new' }],
  },
  {
    operation: 'SnapshotDelete',
    least: 'member',
    status: 204,
    request: ({ snapshot }) => ['DELETE', `/snapshot/${snapshot}`],
  },
  {
    operation: 'CloneReset',
    least: 'member',
    status: 202,
    request: ({ clone }) => ['POST', `/clone/${clone}/reset?wait=60`],
  },
  { operation: 'CloneDelete', least: 'member', status: 202, request: ({ clone }) => ['DELETE', `/clone/${clone}`] },
  { operation: 'TokenList', least: 'admin', status: 200, request: () => ['GET', '/tokens'] },
  {
    operation: 'TokenCreate',
    least: 'admin',
    status: 201,
    request: ({ clone }) => ['POST', '/token', { name: `of-${clone}`, role: 'admin' }],
  },
  { operation: 'TokenDelete', least: 'admin', status: 204, request: ({ token }) => ['DELETE', `/token/${token}`] },
  // There is no source, and so no refresh: who may ask is told so.
  { operation: 'RetrievalRefresh', least: 'admin', status: 409, request: () => ['POST', '/refresh'] },
  { operation: 'RetrievalCancel', least: 'admin', status: 409, request: () => ['DELETE', '/refresh'] },
  { operation: 'AuditList', least: 'admin', status: 200, request: () => ['GET', '/audit'] },
]

const ranks: Role[] = ['viewer', 'member', 'admin']

describe('the roles', () => {
  let lab: TestLab
  let people: People

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    people = await People.of(lab)
  })

  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  test('are tried below with every operation of the document that takes a token', () => {
    const secured = Object.values(people.api.document.openApi.paths)
      .flatMap((operations) => Object.values(operations))
      .map(({ operationId }) => operationId)
      .filter((operation) => operation !== 'StatusHealth')
    expect(steps.map(({ operation }) => operation).sort()).toEqual(secured.sort())
  })

  test('say in the document that a token may be refused, for each of them', () => {
    for (const operations of Object.values(people.api.document.openApi.paths)) {
      for (const { operationId, responses } of Object.values(operations)) {
        const codes = operationId === 'StatusHealth' ? [] : ['401', '403', '429']
        expect(Object.keys(responses), operationId).toEqual(expect.arrayContaining(codes))
      }
    }
  })

  async function tryAll(person: Person, world: World): Promise<void> {
    for (const { operation, least, status, request } of steps) {
      const [method, path, json] = request(world)
      if (ranks.indexOf(person.role) >= ranks.indexOf(least)) {
        const answer = await person.call(method, path, json)
        expect(answer.status, `${operation}: ${answer.text}`).toBe(status)
      } else {
        const { detail, hint } = await person.refused('FORBIDDEN', method, path, json)
        expect(detail, operation).toBe(
          `the token is a ${person.role}'s, and this takes a${least === 'admin' ? 'n' : ''} ${least}`,
        )
        expect(hint).toContain('role')
      }
    }
  }

  test('of the first token and of an admin may do everything', async () => {
    for (const person of [people.first, await people.make('an-admin', 'admin')]) {
      const { id } = await people.make(`doomed-by-${person.name}`, 'viewer')
      await tryAll(person, { clone: `of-${person.name}`, snapshot: `snapshot-of-${person.name}`, token: id })
    }
  })

  test('of a member may work with its own, and neither with tokens nor with the audit log', async () => {
    const person = await people.make('a-member', 'member')
    await tryAll(person, { clone: 'of-member', snapshot: 'snapshot-of-member', token: person.id })
  })

  test('of a viewer may read what the others made, and change nothing', async () => {
    const clone = (await people.first.clone({ id: 'to-be-seen', name: 'as it was' })).id
    const snapshot = 'snapshot-to-be-seen'
    expect((await people.first.call('POST', '/snapshot', { id: snapshot })).status).toBe(201)
    const person = await people.make('a-viewer', 'viewer')
    // How much each holds is measured in the background.
    const seen = async (by: Person) =>
      (await by.call<Clone[]>('GET', '/clones')).body.map(({ cloneSize: _, ...rest }) => rest)
    const before = await seen(people.first)
    await tryAll(person, { clone, snapshot, token: person.id })
    expect(await seen(people.first)).toEqual(before)
    expect(await seen(person)).toEqual(before)
    expect((await people.first.call('GET', '/snapshots')).text).toContain(snapshot)
    expect((await people.first.call<Token[]>('GET', '/tokens')).body).toContainEqual(
      expect.objectContaining({ name: 'a-viewer', status: 'ACTIVE' }),
    )
  })

  test('and what they were refused is in the audit log', async () => {
    const { body } = await people.first.call<AuditEntry[]>('GET', '/audit?limit=1000&tokenName=a-viewer')
    const refused = steps.filter(({ least }) => least !== 'viewer').map(({ operation }) => operation)
    expect(body.map(({ operation }) => operation).reverse()).toEqual(refused)
    for (const entry of body) expect(entry).toMatchObject({ status: 403, errorCode: 'FORBIDDEN', address: '127.0.0.1' })
  })
})
