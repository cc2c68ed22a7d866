import { chown } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { BareServer, prepareDataDir } from './bare-server.ts'
import type { BareSide } from './bare-side.ts'

export interface FullCopy extends AsyncDisposable {
  server: BareServer
}

let number = 0

/**
 * A server on a copy of a snapshot's files on the same file system that shares nothing with them. Removed when disposed of.
 *
 * @param files of a snapshot, which has the clones' user
 */
export async function fullCopy({ pool, place }: BareSide, files: string): Promise<FullCopy> {
  const volume = `copy-${++number}`
  await using undo = new AsyncDisposableStack()
  await pool.create(volume)
  undo.defer(() => pool.remove(volume))
  const path = pool.pathOf(volume)
  await chown(path, place.account.uid, place.account.gid)
  await execa('cp', ['-a', '--reflink=never', join(files, 'data'), path])
  const dataDir = join(path, 'data')
  await prepareDataDir(dataDir)
  const server = await BareServer.start(dataDir, place, await place.ports.next())
  undo.defer(() => server.stop('immediate'))
  await server.setPassword('postgres')
  const made = undo.move()
  return { server, [Symbol.asyncDispose]: () => made.disposeAsync() }
}
