import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { hasProgram } from '@dblab/provision/testbed'
import { fetchTransport, isLabApiError, type Lab, type LabEvent, openLab } from '@dblab/sdk'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PASSWORD } from '../contract/api.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { Authority } from '../tls/authority.ts'
import { Follower, Mirror } from './follower.ts'

/** How often the server was asked so, by its log. An answer is logged when it has ended. */
function requests(lab: TestLab, method: string, path: string): number {
  return lab.output.split('\n').filter((line) => line.includes(` method=${method} path=${path} `)).length
}

/** Keeps what the lists say by events alone, but for when it is told to read them anew. */
async function keep(client: Lab, signal: AbortSignal): Promise<{ mirror: Mirror; events: LabEvent[] }> {
  const kept = { mirror: new Mirror([], []), events: [] as LabEvent[] }
  const read = async () =>
    new Mirror(
      (await client.clones.list()).map((clone) => clone.toJSON()),
      await client.snapshots.list(),
    )
  const { promise, resolve } = Promise.withResolvers<void>()
  const run = async () => {
    for await (const event of client.events({ signal })) {
      kept.events.push(event)
      if (event.type === 'resync') kept.mirror = await read()
      else kept.mirror.apply(event)
      resolve()
    }
  }
  // Until the test ends it.
  run().catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  await promise
  return kept
}

const isSame = async (mirror: Mirror, lab: TestLab) =>
  JSON.stringify(mirror.content) === JSON.stringify((await Mirror.of(lab)).content)

describe('the SDK, with the events of a running lab', () => {
  let lab: TestLab

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
  })

  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  // The first, since it counts all streams that the server has had.
  test('waits for two hundred times the same clone by one stream, and without asking again and again', async () => {
    await using client = lab.client()
    const before = requests(lab, 'GET', '/clone/:id')
    const db = { password: PASSWORD }
    const created = await Promise.all(
      Array.from({ length: 200 }, () => client.clones.create({ db }, { idempotencyKey: 'of-all' })),
    )
    expect(new Set(created.map(({ id }) => id)).size).toBe(1)
    expect(created.every(({ status }) => status.code === 'OK')).toBe(true)
    await eventually('the stream has ended', () => requests(lab, 'GET', '/events') > 0)
    const looks = requests(lab, 'GET', '/clone/:id') - before
    expect(looks).toBeGreaterThanOrEqual(200)
    expect(looks).toBeLessThanOrEqual(400)
    // Two where the last creation is answered when the first waits are over already.
    expect(requests(lab, 'GET', '/events')).toBeLessThanOrEqual(2)
    await created[0]?.delete()
  })

  test.each(['undici', 'fetch'])('keeps what the lists say over %s, over restarts of the server too', async (name) => {
    const transport = name === 'fetch' ? fetchTransport() : undefined
    await using client = openLab({ url: lab.url, token: lab.token, transport })
    const controller = new AbortController()
    const kept = await keep(client, controller.signal)
    await client.clones.create({ id: `first-${name}` })
    await eventually('it knows the first', () => isSame(kept.mirror, lab))
    await lab.terminate()
    await lab.start()
    await client.call('PATCH /clone/{id}', { path: { id: `first-${name}` }, body: { name: 'after a restart' } })
    await eventually('it is told to read anew', () => kept.events.filter(({ type }) => type === 'resync').length > 1)
    await client.clones.create({ id: `second-${name}` })
    await client.clones.delete(`first-${name}`)
    await eventually('it knows the second alone', () => isSame(kept.mirror, lab))
    expect(kept.mirror.content.clones.map(({ id }) => id)).toEqual([`second-${name}`])
    await lab.kill()
    await lab.start()
    await client.clones.delete(`second-${name}`)
    await eventually('it knows that there is none', () => isSame(kept.mirror, lab))
    expect(kept.mirror.content.clones).toEqual([])
    controller.abort()
  })

  test('does not ask while it waits, however long that takes', async () => {
    await using client = lab.client()
    const clone = await client.clones.create({ id: 'slow' })
    await using follower = await Follower.open(lab, { query: '?clone=slow' })
    const before = requests(lab, 'GET', '/clone/:id')
    // Many that wait one behind the other: each is told when its turn is over, and by nothing else.
    const others = Promise.all(Array.from({ length: 11 }, () => client.clones.create()))
    await clone.reset()
    const made = await others
    const looks = requests(lab, 'GET', '/clone/:id') - before
    expect(looks).toBeGreaterThanOrEqual(12)
    expect(looks).toBeLessThanOrEqual(2 * 12 + 12)
    expect(follower.statuses('slow')).toContain('RESETTING')
    await Promise.all([clone, ...made].map((one) => one.delete()))
  })

  test('goes on waiting over a server that is killed and started again', async () => {
    await using client = openLab({ url: lab.url, token: lab.token, retries: 20 })
    const created = client.clones.create({ id: 'over-a-kill' })
    await eventually('it is promised', async () => (await lab.fetch('/clone/over-a-kill')).ok)
    await lab.kill()
    await lab.start()
    // Its password is gone with the process that knew it, and its verifier is not.
    expect((await created).status.code).toBe('OK')
    await client.clones.delete('over-a-kill')
  })

  test('is told that its token has ended', async () => {
    await using first = lab.client()
    const { id, token } = await first.tokens.create({ name: 'doomed', role: 'viewer' })
    await using client = openLab({ url: lab.url, token })
    const seen: string[] = []
    const following = (async () => {
      for await (const { type } of client.events()) seen.push(type)
    })()
    await eventually('it follows', () => seen.length > 0)
    await first.tokens.revoke(id)
    const error = await following.then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(isLabApiError(error, 'UNAUTHORIZED')).toBe(true)
    expect(String(error)).toContain('revoked')
  })

  test('comes to the last state all the same where its reader takes its time', async () => {
    await using client = lab.client()
    await client.clones.create({ id: 'busy' })
    const events = client.events({ clone: 'busy' })
    await events.next()
    for (let n = 0; n < 300; n++) {
      await client.call('PATCH /clone/{id}', { path: { id: 'busy' }, body: { name: `${n}` } })
    }
    let last: LabEvent | undefined
    while (last?.clone?.name !== '299') {
      last = (await events.next()).value ?? undefined
      await delay(1)
    }
    await events.return()
    await client.clones.delete('busy')
  })
})

test.skipIf(!hasProgram('openssl'))('events come over HTTPS as well (needs openssl)', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-events-tls-'))
  try {
    const authority = new Authority(directory)
    await authority.found()
    await authority.issue(1)
    const { certFile, keyFile } = authority
    await using lab = await TestLab.make({ driver: 'copy', config: { tls: { certFile, keyFile } } })
    await lab.start()
    const ca = await readFile(authority.caFile, 'utf8')
    await using client = openLab({ url: lab.url.replace('http:', 'https:'), token: lab.token, ca })
    const events = client.events()
    expect((await events.next()).value).toMatchObject({ type: 'resync' })
    const clone = await client.clones.create()
    expect((await events.next()).value).toMatchObject({ type: 'clone', subject: clone.id })
    const began = performance.now()
    await lab.terminate()
    expect(performance.now() - began).toBeLessThan(4000)
    await events.return()
  } finally {
    await rm(directory, { recursive: true })
  }
})
