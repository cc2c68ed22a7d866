import { readdir, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, parse } from 'node:path'
import { dataDirOf, failPoint, isProvisionError, isSystemError } from '@dblab/provision'
import type { Config } from '../config/schema.ts'
import type { Foundations } from '../lab/foundations.ts'
import { identityFile, readIdentity, tokenFile, writeIdentity } from '../lab/identity.ts'
import { places } from '../lab/places.ts'
import { confirmed } from './confirm.ts'
import { takeOver } from './stop.ts'

export interface DestroyOptions {
  /** Do not ask. */
  yes?: boolean
}

/** Stops the lab and removes all that it made: clones, snapshots, the pool and its image, the catalogue, the audit log, the token. */
export async function destroy(config: Config, options: DestroyOptions): Promise<void> {
  const { dataDir } = config
  const identity = await readIdentity(dataDir)
  if (!identity) {
    process.stdout.write(`There is no lab in ${dataDir}.\n`)
    return
  }
  const question = `Remove the lab in ${dataDir}, with all its clones and snapshots?`
  if (!options.yes && !(await confirmed(question, 'To destroy a lab without being asked: npm run destroy -- --yes'))) {
    process.stdout.write('Nothing was removed.\n')
    process.exitCode = 1
    return
  }
  const { stateDir } = identity
  {
    await using foundations = await takeOver(config, 'destroy')
    await writeIdentity(dataDir, { ...foundations.identity, destroying: true })
    await failPoint('destroy.begun')
    for (const { id } of await foundations.runtime.list()) await foundations.runtime.remove(id)
    await endMakers(foundations)
    await failPoint('destroy.servers-removed')
    await foundations.storage.destroy()
    // It lies in the lab's own directory: a kill between its making and the note of that must not leave it there.
    await removeIfEmpty(places.pool(stateDir))
    await failPoint('destroy.storage-destroyed')
    await rm(places.postgres(stateDir), { recursive: true, force: true })
    await rm(places.binaries(stateDir), { recursive: true, force: true })
    for (const file of await catalogueFiles(dataDir)) await rm(file, { force: true })
    await removeAuditLogs(dataDir)
    await failPoint('destroy.catalogue-removed')
    await rm(tokenFile(dataDir), { force: true })
    // The last: until it is gone, a destruction that was cut off can be done again.
    await rm(identityFile(dataDir), { force: true })
  }
  for (const suffix of ['', '-journal', '-wal', '-shm']) await rm(`${places.lock(dataDir)}${suffix}`, { force: true })
  const left = [...(await removeIfEmpty(stateDir)), ...(stateDir === dataDir ? [] : await removeIfEmpty(dataDir))]
  // The place that labs share whose account can't enter their data directory: gone with the last of them.
  if (stateDir !== dataDir) await removeIfEmpty(dirname(stateDir))
  process.stdout.write('The lab is gone.\n')
  if (left.length > 0) process.stdout.write(`Left alone, since the lab did not make them: ${left.join(', ')}\n`)
}

/** An import that a killed server had begun may still be at work. */
async function endMakers({ storage, runtime }: Foundations): Promise<void> {
  try {
    for (const volume of await storage.driver.listVolumes()) await runtime.evict(dataDirOf(volume))
  } catch (error) {
    // A pool that is not there: its destruction, which comes next, says so where that matters.
    if (!isProvisionError(error)) throw error
  }
}

/** Those that are in use, and those that a rebuild has put aside. */
async function catalogueFiles(dataDir: string): Promise<string[]> {
  const { dir, base } = parse(places.catalogue(dataDir))
  const inUse = ['', '-wal', '-shm', '-reserve', '-seal'].map((suffix) => `${base}${suffix}`)
  const names = await readdir(dir)
  return names.filter((name) => inUse.includes(name) || name.startsWith(`${base}.`)).map((name) => join(dir, name))
}

/** Those that were damaged and put aside too. */
async function removeAuditLogs(dataDir: string): Promise<void> {
  const own = basename(places.audit(dataDir))
  for (const name of await readdir(dataDir)) if (name.startsWith(own)) await rm(join(dataDir, name), { force: true })
}

/** @returns what is left of it: what lies in it, or itself */
async function removeIfEmpty(directory: string): Promise<string[]> {
  try {
    await rmdir(directory)
    return []
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return []
    // What an admin has mounted there.
    if (isSystemError(error, 'EBUSY')) return [directory]
    if (isSystemError(error, 'ENOTEMPTY')) return (await readdir(directory)).map((name) => `${directory}/${name}`)
    throw error
  }
}
