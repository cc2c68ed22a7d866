import { chown } from 'node:fs/promises'
import { join } from 'node:path'
import { LAB_ROLE } from '@dblab/provision'
import { execa } from 'execa'
import { firstRow } from '../lab/clones.ts'
import { BareServer } from './bare-server.ts'
import type { BareSide } from './bare-side.ts'

/** What a server needs to be copied so. */
export const REPLICATION = { wal_level: 'replica', max_wal_senders: '4' }

let number = 0

/**
 * A copy of a running server by `pg_basebackup` on the same file system, and a server on it.
 *
 * @param tool its path
 * @returns milliseconds to the first row; all is removed when this resolves
 */
export async function baseBackup(
  tool: string,
  { pool, place }: BareSide,
  source: BareServer,
  database: string,
): Promise<number> {
  const volume = `backup-${++number}`
  const port = await place.ports.next()
  await using undo = new AsyncDisposableStack()
  await pool.create(volume)
  undo.defer(() => pool.remove(volume))
  const { uid, gid } = place.account
  await chown(pool.pathOf(volume), uid, gid)
  const dataDir = join(pool.pathOf(volume), 'data')
  const started = performance.now()
  const from = ['-h', source.socketDir, '-p', String(source.port), '-U', LAB_ROLE]
  await execa(tool, [...from, '-D', dataDir, '--checkpoint=fast', '--wal-method=stream'], { uid, gid, cwd: '/' })
  const server = await BareServer.start(dataDir, place, port)
  undo.defer(() => server.stop('immediate'))
  return await firstRow(server.url(database), started)
}
