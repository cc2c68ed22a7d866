import { setTimeout as sleep } from 'node:timers/promises'
import { bareClone } from '../baselines/bare-sequence.ts'
import { bareSide } from '../baselines/bare-side.ts'
import { createClone, deleteClone, firstRow, wasWarm } from '../lab/clones.ts'
import { type Data, sampleData } from '../lab/data.ts'
import type { BenchLab } from '../lab/lab.ts'
import { inTurns } from '../measure/in-turns.ts'
import { row, rowBeside, type Suite } from './contract.ts'

/** How many instances the lab keeps prepared. */
export const PREPARED = 10
/** Before each of both sides, since a machine that did nothing is slower at first. */
const PAUSE_MS = 1000
const LOOK_MS = 100
const PREPARED_WITHIN_MS = 300_000

export const warm: Suite = {
  name: 'warm',
  description:
    'a clone of which the instance was prepared, beside a login to a Postgres that runs; and how often none was left',
  async run({ quick, lab: shared, say }) {
    const lab = await shared({ profile: 'test', warm: PREPARED })
    const data = await sampleData(lab)
    const [runs, inARow] = quick ? [10, 20] : [30, 200]
    await using running = await bareClone(await bareSide(lab), await lab.pool.sourceOf(data.snapshot), data.database)
    const url = running.server.url(data.database)
    await atRest(lab)
    say(`warm: ${runs} turns`)
    const given = await inTurns(runs, {
      lab: async () => {
        await atRest(lab)
        return warmClone(lab, data)
      },
      bare: async () => {
        await atRest(lab)
        return firstRow(url)
      },
    })
    say(`warm: ${inARow} clones, one a second`)
    const series = await onePerSecond(inARow, () => warmClone(lab, data))
    const missed = (clones: readonly { isWarm: boolean }[]) => clones.filter(({ isWarm }) => !isWarm).length
    const name = `${inARow} clones, one a second`
    return [
      rowBeside(
        { name: 'clone to first row', samples: given.lab.map(({ ms }) => ms) },
        { name: 'login and `select 1`, of a Postgres that runs', samples: given.bare },
      ),
      row({ name: 'of these, missed the pool', unit: 'count', samples: [missed(given.lab)] }),
      row({ name: `${name}: to first row`, samples: series.map(({ ms }) => ms) }),
      row({ name: `${name}: missed the pool`, unit: 'count', samples: [missed(series)] }),
    ]
  },
}

/**
 * Resolves once the lab has prepared all that it wants to, and had a pause since: what it does for the next clone is not this one's.
 *
 * @throws Error where it does not come to that
 */
export async function atRest({ client }: BenchLab): Promise<void> {
  const latest = performance.now() + PREPARED_WITHIN_MS
  for (let quietMs = 0; quietMs < PAUSE_MS; quietMs += LOOK_MS) {
    await sleep(LOOK_MS)
    const { ready, target } = (await client.status()).warm
    if (ready >= target) continue
    quietMs = 0
    if (performance.now() > latest) throw new Error(`the lab has prepared ${ready} instances of ${target}, and no more`)
  }
}

/** From the request to the first row; the clone is gone when this resolves. */
export async function warmClone(lab: BenchLab, data: Data) {
  const started = performance.now()
  const clone = await createClone(lab, data)
  const ms = await firstRow(clone.url, started)
  await deleteClone(lab, clone.id)
  return { ms, isWarm: wasWarm(clone) }
}

/** Begins one each second, however long those before it take. */
async function onePerSecond<T>(times: number, work: () => Promise<T>): Promise<T[]> {
  const started = performance.now()
  const begun = Array.from({ length: times }, async (_, index) => {
    await sleep(Math.max(0, started + index * 1000 - performance.now()))
    return work()
  })
  return Promise.all(begun)
}
