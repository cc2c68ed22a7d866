import { setTimeout as sleep } from 'node:timers/promises'
import { bareClone } from '../baselines/bare-sequence.ts'
import { bareSide } from '../baselines/bare-side.ts'
import { atRest } from '../lab/at-rest.ts'
import { createClone, deleteClone, firstRow, wasWarm } from '../lab/clones.ts'
import { type Data, sampleData } from '../lab/data.ts'
import type { BenchLab } from '../lab/lab.ts'
import { inTurns } from '../measure/in-turns.ts'
import { row, rowBeside, type Suite } from './contract.ts'

/** How many instances the lab keeps prepared. */
export const PREPARED = 10

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
