import { bareBurst } from '../baselines/bare-burst.ts'
import { type BareSide, bareSide } from '../baselines/bare-side.ts'
import { createClone, deleteClone, firstRow } from '../lab/clones.ts'
import { type Data, sampleData } from '../lab/data.ts'
import type { BenchLab } from '../lab/lab.ts'
import { figuresOf } from '../measure/figures.ts'
import { inTurns } from '../measure/in-turns.ts'
import { type Row, row, rowBeside, type Suite } from './contract.ts'

/** Of a plain script, up to all at once: the best of them counts. One at a time leaves cores idle. */
const CONCURRENCIES = [2, 3, 4, 6, 8, 12, 16, 24, 36, 50]

interface Plan {
  clones: number
  turns: number
  concurrencies: readonly number[]
}

export const burst: Suite = {
  name: 'burst',
  description: 'many clones asked for at once, none of them prepared, beside a plain script at its best concurrency',
  async run({ quick, lab: shared, say }) {
    const lab = await shared({ profile: 'test' })
    const data = await sampleData(lab)
    const bare = { side: await bareSide(lab), source: await lab.pool.sourceOf(data.snapshot) }
    const plans: Plan[] = quick
      ? [{ clones: 15, turns: 5, concurrencies: [4, 15] }]
      : [15, 50].map((clones) => ({
          clones,
          turns: 7,
          concurrencies: [...new Set(CONCURRENCIES.map((number) => Math.min(number, clones)))],
        }))
    const rows: Row[] = []
    for (const plan of plans) {
      say(`burst: ${plan.clones} at once, ${plan.turns} turns`)
      rows.push(...(await burstRows(lab, data, bare, plan)))
    }
    return rows
  },
}

async function burstRows(
  lab: BenchLab,
  data: Data,
  { side, source }: { side: BareSide; source: string },
  { clones, turns, concurrencies }: Plan,
): Promise<Row[]> {
  const script = (concurrency: number) => () => bareBurst(side, source, data.database, { clones, concurrency })
  const sides: Record<string, () => Promise<number>> = { lab: () => labBurst(lab, data, clones) }
  for (const concurrency of concurrencies) sides[`script ${concurrency}`] = script(concurrency)
  const { lab: ofLab = [], ...ofScripts } = await inTurns(turns, sides, 1)
  const tried = concurrencies.map((concurrency) => ({ concurrency, samples: ofScripts[`script ${concurrency}`] ?? [] }))
  const [best] = tried.toSorted((a, b) => figuresOf(a.samples).p50 - figuresOf(b.samples).p50)
  if (!best) throw new RangeError('a plain script needs a concurrency')
  const name = `${clones} clones at once, until the last has its first row`
  return [
    rowBeside(
      { name, samples: ofLab },
      { name: `plain script, best with ${best.concurrency} under way`, samples: best.samples },
    ),
    ...tried.map(({ concurrency, samples }) =>
      row({ name: `${clones} by a plain script with ${concurrency} under way`, samples }),
    ),
  ]
}

/** @throws Error where one of them fails */
async function labBurst(lab: BenchLab, data: Data, clones: number): Promise<number> {
  const started = performance.now()
  const made = await Promise.all(
    Array.from({ length: clones }, async () => {
      const clone = await createClone(lab, data)
      return { id: clone.id, ms: await firstRow(clone.url, started) }
    }),
  )
  await Promise.all(made.map(({ id }) => deleteClone(lab, id)))
  return Math.max(...made.map(({ ms }) => ms))
}
