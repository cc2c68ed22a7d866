import { createClone, deleteClone, firstRow, resetClone } from '../lab/clones.ts'
import { type Data, sampleData, sampleSize } from '../lab/data.ts'
import type { BenchLab } from '../lab/lab.ts'
import { inTurns } from '../measure/in-turns.ts'
import { rowBeside, type Suite } from './contract.ts'

export const reset: Suite = {
  name: 'reset',
  description: 'a reset until the first row at the same address, beside a clone made cold',
  async run({ quick, lab: shared, say }) {
    const lab = await shared({ profile: 'test' })
    const data = await sampleData(lab)
    const runs = quick ? 10 : 30
    say(`reset: ${runs} turns`)
    const { both } = await inTurns(runs, { both: () => createAndReset(lab, data) })
    return [
      rowBeside(
        { name: `reset of ${sampleSize(quick).label} to first row`, samples: both.map(({ resetMs }) => resetMs) },
        { name: 'clone made cold', samples: both.map(({ createMs }) => createMs) },
      ),
    ]
  },
}

async function createAndReset(lab: BenchLab, data: Data) {
  const started = performance.now()
  const clone = await createClone(lab, data)
  const createMs = await firstRow(clone.url, started)
  const again = performance.now()
  await resetClone(lab, clone.id)
  const resetMs = await firstRow(clone.url, again)
  await deleteClone(lab, clone.id)
  return { createMs, resetMs }
}
