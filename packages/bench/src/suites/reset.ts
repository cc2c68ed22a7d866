import { bareClone } from '../baselines/bare-sequence.ts'
import { bareSide } from '../baselines/bare-side.ts'
import { atRest, rested } from '../lab/at-rest.ts'
import { type BenchClone, createClone, deleteClone, firstRow, resetClone, wasWarm } from '../lab/clones.ts'
import { type Data, sampleData, sampleSize } from '../lab/data.ts'
import type { BenchLab } from '../lab/lab.ts'
import { inTurns } from '../measure/in-turns.ts'
import { coldClone } from './cold.ts'
import { type Row, row, rowBeside, type Suite, type SuiteContext } from './contract.ts'
import { PREPARED } from './warm.ts'

export const reset: Suite = {
  name: 'reset',
  description:
    'a reset until the first row at the same address, beside a clone made cold; and where an instance was prepared, beside a login to a Postgres that runs',
  async run(context) {
    return [...(await coldResets(context)), ...(await warmResets(context))]
  },
}

async function coldResets({ quick, lab: shared, say }: SuiteContext): Promise<Row[]> {
  const lab = await shared({ profile: 'test' })
  const data = await sampleData(lab)
  const runs = quick ? 10 : 20
  say(`reset: ${runs} turns`)
  const reset = () => coldReset(lab, data)
  const cold = async () => (await coldClone(lab, data)).ms
  const given = await inTurns(runs, rested(lab, { lab: reset, cold }))
  return [
    rowBeside(
      { name: `reset of ${sampleSize(quick).label} to first row`, samples: given.lab },
      { name: 'clone made cold', samples: given.cold },
    ),
  ]
}

/** Of a clone that was made for it, and somebody was logged in to. */
async function coldReset(lab: BenchLab, data: Data): Promise<number> {
  const clone = await createClone(lab, data)
  await firstRow(clone.url)
  const { ms } = await timedReset(lab, clone)
  await deleteClone(lab, clone.id)
  return ms
}

async function warmResets({ quick, lab: shared, say }: SuiteContext): Promise<Row[]> {
  const lab = await shared({ profile: 'test', warm: PREPARED })
  const data = await sampleData(lab)
  const runs = quick ? 10 : 30
  await using running = await bareClone(await bareSide(lab), await lab.pool.sourceOf(data.snapshot), data.database)
  const url = running.server.url(data.database)
  const clone = await createClone(lab, data)
  await atRest(lab)
  say(`reset: ${runs} turns, to instances that were prepared`)
  const given = await inTurns(runs, {
    lab: async () => {
      await atRest(lab)
      return timedReset(lab, clone)
    },
    bare: async () => {
      await atRest(lab)
      return firstRow(url)
    },
  })
  await deleteClone(lab, clone.id)
  return [
    rowBeside(
      { name: 'reset to a prepared instance, to first row', samples: given.lab.map(({ ms }) => ms) },
      { name: 'login and `select 1`, of a Postgres that runs', samples: given.bare },
    ),
    row({
      name: 'of these, missed the pool',
      unit: 'count',
      samples: [given.lab.filter(({ isWarm }) => !isWarm).length],
    }),
  ]
}

async function timedReset(lab: BenchLab, { id, url }: BenchClone) {
  const started = performance.now()
  const isWarm = wasWarm(await resetClone(lab, id))
  return { ms: await firstRow(url, started), isWarm }
}
