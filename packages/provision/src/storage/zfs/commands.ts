import { setTimeout as sleep } from 'node:timers/promises'
import { CommandError, run } from '../../exec.ts'
import { codeOf, isBusy } from './errors.ts'
import { linesOf, type Properties, parseProperties, propertyOf } from './output.ts'

/** 3 s in all: a Postgres that was told to stop may need one to close its files. */
const BUSY_MS = [50, 100, 200, 400, 750, 1500]

export async function zfs(...args: string[]): Promise<string> {
  return (await run(['zfs', ...args])).stdout
}

export async function zpool(...args: string[]): Promise<string> {
  return (await run(['zpool', ...args])).stdout
}

export async function getProperties(dataset: string, names: readonly string[]): Promise<Properties> {
  const stdout = await zfs('get', '-Hp', '-o', 'name,property,value,source', names.join(','), dataset)
  return parseProperties(stdout).get(dataset) ?? new Map()
}

/** The same; undefined when there is no such dataset or snapshot. */
export async function lookUp(dataset: string, names: readonly string[]): Promise<Properties | undefined> {
  try {
    return await getProperties(dataset, names)
  } catch (error) {
    if (error instanceof CommandError && codeOf(error) === 'NOT_FOUND') return undefined
    throw error
  }
}

/** Destroys this one dataset or snapshot, and nothing that depends on it; absent is fine. Tries again for a while when it's busy. */
export async function destroyDataset(dataset: string, waits: readonly number[] = BUSY_MS): Promise<void> {
  try {
    await zfs('destroy', dataset)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    if (codeOf(error) === 'NOT_FOUND') return
    const [wait, ...rest] = waits
    if (!isBusy(error) || wait === undefined) throw error
    await sleep(wait)
    await destroyDataset(dataset, rest)
  }
}

/** Snapshots of a dataset and datasets below it, anybody's. */
export async function dependentsOf(dataset: string): Promise<string[]> {
  const names = linesOf(await zfs('list', '-Hp', '-o', 'name', '-d', '1', '-t', 'all', dataset))
  return names.filter((name) => name !== dataset)
}

/** Datasets that are clones of a snapshot, anybody's. */
export async function clonesOf(snapshot: string): Promise<string[]> {
  const clones = propertyOf(await getProperties(snapshot, ['clones']), 'clones')
  return clones.split(',').filter((clone) => clone !== '' && clone !== '-')
}
