import { findAllClientTools } from '@dblab/provision'
import { bareClone } from '../baselines/bare-sequence.ts'
import { bareSide } from '../baselines/bare-side.ts'
import { baseBackup, REPLICATION } from '../baselines/base-backup.ts'
import { containerStart, findPostgresImage } from '../baselines/container.ts'
import { sampleData, sampleSize } from '../lab/data.ts'
import { findVersion } from '../lab/versions.ts'
import { inTurns } from '../measure/in-turns.ts'
import { coldClone } from './cold.ts'
import { type Row, rowBeside, type Suite, type SuiteContext } from './contract.ts'

/** What the lab has where nothing else is asked for. */
const EMBEDDED_MAJOR = 18

export const tools: Suite = {
  name: 'tools',
  description: 'a clone made cold beside what else people copy or start a Postgres with: pg_basebackup, a container',
  async run(context) {
    return [...(await baseBackupRows(context)), ...(await containerRows(context))]
  },
}

async function baseBackupRows({ quick, ownLab, say, skip, note }: SuiteContext): Promise<Row[]> {
  const what = 'pg_basebackup'
  const [tool] = await findAllClientTools('pg_basebackup')
  if (!tool) {
    skip(what, 'it is not on this machine')
    return []
  }
  // It refuses servers that are newer than itself.
  const version = await findVersion(Math.min(tool.major, EMBEDDED_MAJOR))
  if (typeof version === 'string') {
    skip(what, version)
    return []
  }
  const { scale, label } = sampleSize(quick)
  say(`tools: making a lab of PostgreSQL ${version.version} with a sample database of ${label}`)
  await using lab = await ownLab({ scale, ...version, configuration: { profile: 'test' } })
  note(`pg_basebackup ${tool.version}, clone and copy of PostgreSQL ${lab.binaries.version}`)
  const data = await sampleData(lab)
  const source = await lab.pool.sourceOf(data.snapshot)
  await using running = await bareClone(await bareSide(lab, REPLICATION), source, data.database)
  const side = await bareSide(lab)
  const given = await inTurns(
    quick ? 3 : 10,
    {
      clone: async () => (await coldClone(lab, data)).ms,
      copy: () => baseBackup(tool.path, side, running.server, data.database),
    },
    1,
  )
  return [
    rowBeside(
      { name: `clone of ${label} to first row, beside pg_basebackup`, samples: given.clone },
      { name: 'pg_basebackup and start', samples: given.copy },
    ),
  ]
}

async function containerRows({ quick, lab: shared, say, skip }: SuiteContext): Promise<Row[]> {
  const image = await findPostgresImage()
  if (typeof image === 'string') {
    skip('a container of Postgres', image)
    return []
  }
  const lab = await shared({ profile: 'test' })
  const data = await sampleData(lab)
  say(`tools: ${image.program} run ${image.image}`)
  const sides = { clone: async () => (await coldClone(lab, data)).ms, container: () => containerStart(image) }
  const given = await inTurns(quick ? 3 : 10, sides, 1)
  return [
    rowBeside(
      { name: `clone of ${sampleSize(quick).label} to first row, beside a container`, samples: given.clone },
      { name: `\`${image.program} run ${image.image}\`, which is empty`, samples: given.container },
    ),
  ]
}
