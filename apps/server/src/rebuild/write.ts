import { access, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isSystemError, PortPool, syncPath } from '@dblab/provision'
import { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { sealFile } from '../catalogue/database.ts'
import { Seal } from '../catalogue/seal.ts'
import type { Config } from '../config/schema.ts'
import type { Plan } from './plan.ts'

export interface WriteOptions {
  file: string
  labId: string
  epoch: number
}

/** Every file of SQLite's, the log after the file: without its log, a file would pass for what it was before. */
const PARTS = ['', '-wal', '-shm', '-seal'] as const

/**
 * Writes the new catalogue beside the old one, whole, and only then puts that aside and the new one in its place. Cut off in between,
 * there is no catalogue, which is one that is lost.
 *
 * @returns where the old one is now; undefined where there was none
 */
export async function writeCatalogue(
  plan: Plan,
  clones: CloneRecord[],
  options: WriteOptions,
): Promise<string | undefined> {
  const { file, labId, epoch } = options
  const draft = `${file}.rebuilding`
  for (const part of PARTS) await rm(`${draft}${part}`, { force: true })
  const catalogue = Catalogue.create(draft, labId, { epoch, after: new Seal(sealFile(file)).read() })
  try {
    catalogue.transaction(() => {
      for (const volume of plan.volumes) catalogue.volumes.restore(volume)
      for (const snapshot of plan.snapshots) catalogue.snapshots.restore(snapshot)
      for (const clone of clones) catalogue.clones.add(clone)
    })
  } finally {
    // The last connection takes the log into the file.
    catalogue.close()
  }
  await syncPath(draft)
  const aside = `${file}.lost-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`
  const moved: boolean[] = []
  for (const part of PARTS) moved.push(await moveIfThere(`${file}${part}`, `${aside}${part}`))
  await syncPath(dirname(file))
  for (const part of PARTS.toReversed()) await moveIfThere(`${draft}${part}`, `${file}${part}`)
  await syncPath(dirname(file))
  return moved.includes(true) ? aside : undefined
}

async function moveIfThere(from: string, to: string): Promise<boolean> {
  try {
    await access(from)
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false
    throw error
  }
  await rename(from, to)
  return true
}

/** Clones whose port is another's get one that is free. */
export async function withFreePorts(plan: Plan, { portFrom, portTo, host }: Config['clones']): Promise<CloneRecord[]> {
  const pool = new PortPool({ from: portFrom, to: portTo, host })
  for (const { id, port } of plan.clones) if (port !== null) pool.take(port, id)
  const clones: CloneRecord[] = []
  for (const { missing: _, port, ...clone } of plan.clones) {
    clones.push({ ...clone, port: port ?? (await pool.lend({ owner: clone.id })) })
  }
  return clones
}
