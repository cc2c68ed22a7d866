import { bareClone } from '../baselines/bare-sequence.ts'
import { bareSide } from '../baselines/bare-side.ts'
import { type CopyMethod, copiedDatabase, createdbMethod, FILE_COPY, WAL_LOG } from '../baselines/create-database.ts'
import { rested } from '../lab/at-rest.ts'
import { sampleData, sampleSize } from '../lab/data.ts'
import { inTurns } from '../measure/in-turns.ts'
import { coldClone } from './cold.ts'
import { type Row, rowBeside, type Suite, type SuiteContext } from './contract.ts'
import { PREPARED, warmClone } from './warm.ts'

/** The first version whose copies of files can share blocks (release notes of PostgreSQL 18, file_copy_method). */
const FIRST_MAJOR = 18

interface Cell {
  fsync: 'on' | 'off'
  isWarm: boolean
}

const CELLS: readonly Cell[] = (['on', 'off'] as const).flatMap((fsync) => [
  { fsync, isWarm: false },
  { fsync, isWarm: true },
])

export const databases: Suite = {
  name: 'databases',
  description: "a clone beside a copy of the same database by PostgreSQL's own means, with fsync on and off",
  async run(context) {
    const methods = [FILE_COPY, WAL_LOG]
    const createdb = await createdbMethod()
    if (createdb) methods.push(createdb)
    else context.skip('`createdb -T`', 'there is no createdb on this machine')
    const rows: Row[] = []
    for (const cell of CELLS) rows.push(...(await cellRows(context, cell, methods)))
    return rows
  },
}

async function cellRows(
  { quick, lab: shared, say, skip }: SuiteContext,
  { fsync, isWarm }: Cell,
  methods: readonly CopyMethod[],
): Promise<Row[]> {
  const name = `clone of ${sampleSize(quick).label}, ${isWarm ? 'warm' : 'cold'}, fsync ${fsync}`
  const lab = await shared({ profile: 'test', settings: { fsync }, ...(isWarm && { warm: PREPARED }) })
  if (lab.binaries.major < FIRST_MAJOR) {
    skip(name, `the lab runs PostgreSQL ${lab.binaries.version}, which has no file_copy_method`)
    return []
  }
  const data = await sampleData(lab)
  const side = await bareSide(lab, { file_copy_method: 'clone' })
  await using bare = await bareClone(side, await lab.pool.sourceOf(data.snapshot), data.database)
  const clone = async () => (await (isWarm ? warmClone : coldClone)(lab, data)).ms
  const sides: Record<string, () => Promise<number>> = { clone }
  for (const method of methods) sides[method.name] = () => copiedDatabase(bare.server, data.database, method)
  say(`databases: ${name}`)
  const given = await inTurns(quick ? 3 : 10, rested(lab, sides), 1)
  return methods.map((method) =>
    rowBeside(
      { name: `${name}, beside ${method.name}`, samples: given.clone ?? [] },
      { name: `${method.name}, fsync ${fsync}`, samples: given[method.name] ?? [] },
    ),
  )
}
