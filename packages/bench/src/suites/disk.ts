import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bareClone } from '../baselines/bare-sequence.ts'
import { bareSide } from '../baselines/bare-side.ts'
import { createClone, deleteClone, firstRow } from '../lab/clones.ts'
import { sampleData } from '../lab/data.ts'
import { instanceAt } from '../lab/instances.ts'
import { inTurns } from '../measure/in-turns.ts'
import type { Pool, PoolBytes } from '../pools/pool.ts'
import { settledUse } from '../pools/settled-use.ts'
import { type Row, row, rowBeside, type Suite } from './contract.ts'
import { updateRows } from './disk-update.ts'

/** Clones made between two looks at what the pool holds, which is not told of a single one. */
const BATCH = 5
/** The lab has a new clone make its first checkpoint, which writes, once its user has it. */
const REST_MS = 2000

interface Taken {
  /** What one clone takes, of those of a batch; undefined where the pool does not tell. */
  ofPool: PoolBytes | undefined
  /** Of each clone: what the storage says that it holds alone. */
  own: number[]
  /** Of all. */
  newSegments: number
}

export const disk: Suite = {
  name: 'disk',
  description:
    'what a fresh clone takes, and one of which a hundredth of the rows was updated, beside what Postgres has written',
  async run({ quick, lab: shared, say, note }) {
    const lab = await shared({ profile: 'test' })
    const data = await sampleData(lab)
    const turns = quick ? 2 : 5
    const [side, source] = [await bareSide(lab), await lab.pool.sourceOf(data.snapshot)]
    const snapshotFiles = await lab.pool.filesOf(data.snapshot)
    const labClone = async (stack: AsyncDisposableStack) => {
      const clone = await createClone(lab, data)
      stack.defer(() => deleteClone(lab, clone.id))
      await firstRow(clone.url)
      return (await instanceAt(lab, clone.port)).dataDir
    }
    const bare = async (stack: AsyncDisposableStack) =>
      stack.use(await bareClone(side, source, data.database)).server.dataDir
    say(`disk: fresh clones, ${turns} turns of ${BATCH}`)
    const given = await inTurns(
      turns,
      {
        lab: () => takenByBatch(lab.pool, snapshotFiles, labClone),
        bare: () => takenByBatch(lab.pool, snapshotFiles, bare),
      },
      1,
    )
    say(`disk: updates, ${turns} turns`)
    return [...freshRows(given.lab, given.bare), ...(await updateRows(lab, data, { turns, note }))]
  },
}

function freshRows(lab: readonly Taken[], bare: readonly Taken[]): Row[] {
  const [name, beside] = ['a fresh clone after its first login', 'bare snapshot and server, after a first login']
  const bytes = (what: keyof PoolBytes) =>
    rowBeside(
      { name: `${name}: ${what}`, unit: 'bytes', samples: lab.map(({ ofPool }) => ofPool?.[what] ?? 0) },
      { name: beside, samples: bare.map(({ ofPool }) => ofPool?.[what] ?? 0) },
    )
  return [
    ...(lab.every(({ ofPool }) => ofPool) ? [bytes('data'), bytes('metadata')] : []),
    rowBeside(
      { name: `${name}: what it alone holds, says the storage`, unit: 'bytes', samples: lab.flatMap(({ own }) => own) },
      { name: beside, samples: bare.flatMap(({ own }) => own) },
    ),
    row({
      name: `${name}: new WAL segments`,
      unit: 'count',
      samples: lab.map(({ newSegments }) => newSegments),
    }),
  ]
}

/** @param make returns the data directory of a clone that is gone with the stack */
async function takenByBatch(
  pool: Pool,
  snapshotFiles: string,
  make: (stack: AsyncDisposableStack) => Promise<string>,
): Promise<Taken> {
  const segments = new Set(await walSegments(join(snapshotFiles, 'data')))
  const before = await settledUse(pool)
  await using stack = new AsyncDisposableStack()
  const dataDirs: string[] = []
  while (dataDirs.length < BATCH) dataDirs.push(await make(stack))
  await sleep(REST_MS)
  const after = await settledUse(pool)
  const ofPool = before &&
    after && { data: (after.data - before.data) / BATCH, metadata: (after.metadata - before.metadata) / BATCH }
  const taken: Taken = { ofPool, own: [], newSegments: 0 }
  for (const dataDir of dataDirs) {
    taken.own.push(await pool.ownBytes(dirname(dataDir)))
    taken.newSegments += (await walSegments(dataDir)).filter((name) => !segments.has(name)).length
  }
  return taken
}

async function walSegments(dataDir: string): Promise<string[]> {
  return (await readdir(join(dataDir, 'pg_wal'))).filter((name) => /^[0-9A-F]{24}$/.test(name))
}
