import type { RetrievalStep } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { eventually, type TestLab } from '../support/lab.ts'
import { expectOnly } from './aftermath.ts'
import { FarNetwork, lackingNetworks } from './far-network.ts'
import { LiveSource } from './live-source.ts'
import { done, inClone, labOf, lacking, logical, needSource, physical } from './world.ts'

/** What neither compression nor a slow link makes short: 12 MB of noise. */
const NOISE = [
  'CREATE TABLE noise (i int, b text)',
  `INSERT INTO noise SELECT i, (SELECT string_agg(md5(random()::text || j), '') FROM generate_series(1, 32) j WHERE i > 0) FROM generate_series(1, 12000) i`,
  // Its size is told from what is known of it.
  'ANALYZE noise',
]

async function farSource(network: FarNetwork): Promise<LiveSource> {
  const { host, through } = network
  const live = await LiveSource.make(needSource(), { host, through })
  await live.query('postgres', 'ALTER ROLE dump REPLICATION', 'CREATE DATABASE shop')
  await live.query('shop', ...NOISE)
  return live
}

/** Until bytes of this step have come. */
async function inTheMiddleOf(lab: TestLab, step: RetrievalStep): Promise<void> {
  await using client = lab.client()
  await eventually(
    `it is in the middle of ${step}`,
    async () => {
      const { current } = await client.retrieval.get()
      return current?.progress.step === step && current.progress.bytesDone > 0
    },
    60_000,
  )
}

async function secondsUntil(what: string, condition: () => Promise<boolean>): Promise<number> {
  const began = Date.now()
  await eventually(what, condition, 100_000)
  return (Date.now() - began) / 1000
}

/** How long either side may take to notice: 15 seconds of silence and three questions, or 30 seconds without an answer, and the time to say so. */
const NOTICED_SECONDS = 60

describe.skipIf(lacking !== '' || lackingNetworks !== '')(
  `a source whose link is cut in the middle${lacking}${lackingNetworks}`,
  () => {
    test.each([
      ['a dump', 'DUMP', logical],
      ['a copy of its files', 'COPY', physical],
    ] as const)(
      'of %s is given up by both sides within a minute, and the next attempt after it is mended succeeds',
      async (_what, step, sourceOf) => {
        await using network = await FarNetwork.make()
        await using live = await farSource(network)
        await using lab = await labOf({ attempts: 50, retrySeconds: 0.5, sources: [sourceOf(live.url('shop'))] })
        await network.slow('4mbit')
        await lab.start()
        await inTheMiddleOf(lab, step)
        await network.cut()
        await using client = lab.client()
        const [ours, theirs] = await Promise.all([
          secondsUntil('the lab notices', async () => ((await client.retrieval.get()).current?.attempt ?? 0) > 1),
          secondsUntil('the source notices', async () => (await live.sessions()).length === 0),
        ])
        expect(ours).toBeLessThan(NOTICED_SECONDS)
        expect(theirs).toBeLessThan(NOTICED_SECONDS)
        expect(await live.query('postgres', 'SELECT slot_name FROM pg_replication_slots')).toEqual([])
        await network.mend()
        await network.unslow()
        const run = await done(lab)
        expect(run).toMatchObject({ outcome: 'DONE', error: { code: 'UNAVAILABLE' } })
        const { rows } = await inClone(lab, 'shop', (db) => db.query('SELECT count(*)::int AS n FROM noise'))
        expect(rows).toEqual([{ n: 12_000 }])
        await expectOnly(lab, { generations: 1, clones: 0 })
      },
      240_000,
    )
  },
)
