import { setTimeout as sleep } from 'node:timers/promises'
import type { Places, Provisioner, StandbyHealth, StandbySpec } from '../../src/index.ts'
import { baseBackup } from './production.ts'
import { openSource, type Source } from './source.ts'
import type { Lab } from './world.ts'

export const PASSWORD = 'rep:li\\ca\'tion "1"'

/** A source that lets a standby in, with some data. */
export async function openPrimary(lab: Lab, settings = ''): Promise<Source> {
  const source = await openSource(lab.world.account, await lab.world.binaries(15), { settings })
  await source.query(`create role rep replication login password '${PASSWORD.replaceAll("'", "''")}'`)
  await source.query('create table public.t as select 1 as i')
  return source
}

export function standbySpec(source: Source, more: Partial<StandbySpec> = {}): StandbySpec {
  const { port } = source
  const primary = { host: '127.0.0.1', port, username: 'rep', password: PASSWORD, sslMode: 'disable' } as const
  return { volumeId: 'standby', primary, superuser: 'postgres', ...more }
}

export async function follow(lab: Lab, source: Source, more: Partial<StandbySpec> = {}): Promise<StandbySpec> {
  const spec = standbySpec(source, more)
  await lab.provisioner.standbys.create(spec, { bring: (places: Places) => baseBackup(source, places) })
  return spec
}

const PATIENCE_MS = 60_000

/** The first look at it that is as it should be. */
export async function until(
  { standbys }: Provisioner,
  spec: StandbySpec,
  holds: (health: StandbyHealth) => boolean,
): Promise<StandbyHealth> {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const health = await standbys.tend(spec)
    if (holds(health)) return health
    if (Date.now() > deadline) throw new Error(`it does not come to that: ${JSON.stringify(health)}`)
    await sleep(200)
  }
}

/** Until it has replayed all that the source has written by now. */
export async function untilCaughtUp(lab: Lab, spec: StandbySpec, source: Source): Promise<StandbyHealth> {
  const [row] = await source.query(`select pg_current_wal_flush_lsn()::text as lsn`)
  const wanted = lsnNumber(String(row?.lsn))
  return until(lab.provisioner, spec, ({ isReceiving, replayedLsn }) => isReceiving && lsnNumber(replayedLsn) >= wanted)
}

export function lsnNumber(lsn: string): bigint {
  const [high = '0', low = '0'] = lsn.split('/')
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
}
