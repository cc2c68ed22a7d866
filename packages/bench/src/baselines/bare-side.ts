import { chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchLab } from '../lab/lab.ts'
import type { Pool } from '../pools/pool.ts'
import type { ServerPlace } from './bare-server.ts'

/** What it takes to do without the lab what the lab does: the same storage, programs, account and settings. */
export interface BareSide {
  pool: Pool
  place: ServerPlace
}

/**
 * @param settings over those of the lab's clones
 */
export async function bareSide(lab: BenchLab, settings: Record<string, string> = {}): Promise<BareSide> {
  const { pool, account, binaries } = lab
  const directory = join(lab.directory, 'bare')
  await mkdir(directory, { recursive: true, mode: 0o711 })
  await chown(directory, account.uid, account.gid)
  const hbaFile = join(directory, 'hba.conf')
  await writeFile(
    hbaFile,
    'local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
  )
  return {
    pool,
    place: {
      binaries,
      account,
      socketDir: directory,
      hbaFile,
      ports: lab.barePorts,
      running: lab.bareServers,
      settings: { ...lab.settings, ...settings },
    },
  }
}
