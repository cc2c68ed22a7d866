import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { apiError, rejection, StubLab } from '../test/stub-lab.ts'
import { Client } from './client.ts'
import { LabTimeoutError, RefreshFailedError } from './errors.ts'
import { Retrieval } from './retrieval.ts'
import type { RetrievalRun } from './schema.gen.ts'
import type { Transport } from './transport.ts'
import { undiciTransport } from './undici.ts'

function run(outcome: RetrievalRun['outcome'], more: Partial<RetrievalRun> = {}) {
  return { id: 'r1', trigger: 'REQUEST', outcome, source: 's', attempt: 1, snapshot: '', log: [], ...more }
}

const running = { body: { current: run('RUNNING'), runs: [] } }
const done = { body: { runs: [run('DONE', { snapshot: 'new' })] } }
const failure = { code: 'INVALID', message: 'the role may not copy the server', hint: 'Run there: ALTER ROLE' }

/** One of somebody's own, which can't stream. */
function withoutStream(): Transport {
  const { send, close } = undiciTransport()
  return { send, close }
}

describe('waiting for a refresh', () => {
  let stub: StubLab
  beforeEach(async () => {
    stub = await StubLab.start()
  })
  afterEach(async () => stub[Symbol.asyncDispose]())

  const wait = async (transport: Transport, timeoutMs?: number) => {
    const client = new Client({ url: stub.url }, transport)
    try {
      return await new Retrieval(client).waitUntilDone({ id: 'r1' }, timeoutMs === undefined ? {} : { timeoutMs })
    } finally {
      await client.close()
    }
  }

  it.each([
    ['a server that has no events', undiciTransport],
    ['a transport that has none', withoutStream],
  ])('asks again and again where there is %s', async (_what, transport) => {
    stub.on('GET /retrieval', running, done)
    expect(await wait(transport())).toMatchObject({ outcome: 'DONE', snapshot: 'new' })
    expect(stub.requests('GET /retrieval')).toHaveLength(2)
  })

  it('asks where events are refused', async () => {
    stub.on('GET /events', apiError(403, 'FORBIDDEN')).on('GET /retrieval', running, done)
    expect(await wait(undiciTransport())).toMatchObject({ outcome: 'DONE' })
  })

  it('tells why it failed, or that it was stopped', async () => {
    stub.on('GET /retrieval', { body: { runs: [run('FAILED', { error: failure })] } })
    const failed = await rejection(wait(undiciTransport()))
    expect(failed).toBeInstanceOf(RefreshFailedError)
    expect(failed).toMatchObject({ message: expect.stringContaining(failure.message), run: { outcome: 'FAILED' } })
    stub.on('GET /retrieval', { body: { runs: [run('CANCELLED')] } })
    expect(await rejection(wait(undiciTransport()))).toMatchObject({ run: { outcome: 'CANCELLED' } })
  })

  it('ends when its time is over, and at once where nobody knows the run', async () => {
    stub.on('GET /retrieval', running)
    expect(await rejection(wait(undiciTransport(), 200))).toBeInstanceOf(LabTimeoutError)
    stub.on('GET /retrieval', { body: { runs: [] } })
    expect(await rejection(wait(undiciTransport()))).toMatchObject({ message: expect.stringContaining('no such run') })
  })
})
