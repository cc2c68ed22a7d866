import { execa } from 'execa'
import { type BareTimes, bareTimes, sourceWithRole } from '../baselines/bare-sequence.ts'
import { bareSide } from '../baselines/bare-side.ts'
import { rested } from '../lab/at-rest.ts'
import { createClone, deleteClone, firstRow, stepsOf } from '../lab/clones.ts'
import { type Data, sampleData, sampleSize } from '../lab/data.ts'
import type { BenchLab } from '../lab/lab.ts'
import { largeData } from '../lab/large-data.ts'
import { inTurns } from '../measure/in-turns.ts'
import { type Row, row, rowBeside, type Suite } from './contract.ts'

const PARTS: Record<Exclude<keyof BareTimes, 'sum'>, string> = {
  snapshot: 'the snapshot call',
  start: '`postgres` until it is ready',
  session: 'a first session (socket), `select 1`',
  role: 'the role',
  login: 'the login (TCP, SCRAM)',
  query: '`select 1`',
}

export const cold: Suite = {
  name: 'cold',
  description:
    'a clone of which nothing was prepared, beside the bare sequence of what it takes, at two sizes of the data',
  async run({ quick, lab: shared, say, note }) {
    const lab = await shared({ profile: 'test' })
    const runs = quick ? 10 : 20
    const small = await sampleData(lab)
    const large = await largeData(lab, quick ? { files: 2000, gigabytes: 10 } : { files: 20_000, gigabytes: 100 }, say)
    for (const { snapshot } of [small, large]) note(`the data: ${await extent(await lab.pool.filesOf(snapshot))}`)
    note(`the snapshot call of the bare sequence: ${lab.pool.snapshotName}`)
    say(`cold: ${runs} turns`)
    const bare = await bareSide(lab)
    const source = { small: await lab.pool.sourceOf(small.snapshot), large: await lab.pool.sourceOf(large.snapshot) }
    await using smallWithRole = await sourceWithRole(bare, source.small, small.database)
    await using largeWithRole = await sourceWithRole(bare, source.large, large.database)
    const hasRole = true
    const sides = {
      small: () => coldClone(lab, small),
      bareSmall: () => bareTimes(bare, smallWithRole.source, small.database, { hasRole }),
      bareRole: () => bareTimes(bare, source.small, small.database),
      large: () => coldClone(lab, large),
      bareLarge: () => bareTimes(bare, largeWithRole.source, large.database, { hasRole }),
    }
    const given = await inTurns(runs, rested(lab, sides))
    const [sizeOfSmall, sizeOfLarge] = [sampleSize(quick).label, large.label]
    return [
      rowBeside(
        { name: `clone of ${sizeOfSmall} to first row`, samples: given.small.map(({ ms }) => ms) },
        { name: 'bare sequence', samples: sums(given.bareSmall) },
      ),
      rowBeside(
        { name: `the same clone of ${sizeOfSmall}`, samples: given.small.map(({ ms }) => ms) },
        { name: 'bare sequence that makes the role in a session before, too', samples: sums(given.bareRole) },
      ),
      rowBeside(
        { name: `clone of ${sizeOfLarge} to first row`, samples: given.large.map(({ ms }) => ms) },
        { name: 'bare sequence', samples: sums(given.bareLarge) },
      ),
      rowBeside(
        { name: `clone of ${sizeOfLarge} beside one of ${sizeOfSmall}`, samples: given.large.map(({ ms }) => ms) },
        { name: `clone of ${sizeOfSmall}`, samples: given.small.map(({ ms }) => ms) },
      ),
      ...partRows(`bare, ${sizeOfSmall}`, given.bareSmall),
      ...partRows(`bare with the role to make, ${sizeOfSmall}`, given.bareRole),
      ...partRows(`bare, ${sizeOfLarge}`, given.bareLarge),
      ...stepRows(given.small.map(({ steps }) => steps)),
    ]
  },
}

/** A clone from the request to its first row; it is gone when this resolves. */
export async function coldClone(lab: BenchLab, data: Data) {
  const started = performance.now()
  const clone = await createClone(lab, data)
  const ms = await firstRow(clone.url, started)
  await deleteClone(lab, clone.id)
  return { ms, steps: stepsOf(clone) }
}

/** What a file tree shows, as `du` counts it: holes are bytes, too. */
async function extent(path: string): Promise<string> {
  const first = async (...options: string[]) =>
    Number.parseInt((await execa('du', ['-s', ...options, path])).stdout, 10)
  const [bytes, files] = [await first('--apparent-size', '--block-size=1'), await first('--inodes')]
  return `${(bytes / 1e9).toFixed(2)} GB in ${files.toLocaleString('en')} files and directories`
}

function partRows(of: string, times: readonly BareTimes[]): Row[] {
  const parts = Object.entries(PARTS) as Array<[keyof typeof PARTS, string]>
  const measured = parts.filter(([part]) => times.some((time) => time[part] > 0))
  return measured.map(([part, name]) => row({ name: `${of}: ${name}`, samples: times.map((time) => time[part]) }))
}

/** What the lab says of its steps, where it does. */
function stepRows(steps: ReadonlyArray<ReturnType<typeof stepsOf>>): Row[] {
  const names = steps[0]?.map(({ name }) => name) ?? []
  return names.map((name) => {
    const samples = steps.map((those) => those.find((step) => step.name === name)?.ms ?? 0)
    return row({ name: `the lab's own step: ${name}`, samples })
  })
}

function sums(times: readonly BareTimes[]): number[] {
  return times.map(({ sum }) => sum)
}
