import { run } from '../../exec.ts'
import type { PoolUsage } from '../driver.ts'
import { getProperties, zpool } from './commands.ts'
import { bytesOf, parsePool, parseTrouble, propertyOf } from './output.ts'

/** Of the pool that the dataset lies in; what is free is what the dataset may take. */
export async function poolUsage(dataset: string): Promise<PoolUsage> {
  const pool = poolOf(dataset)
  const facts = parsePool(await zpool('list', '-Hp', '-o', 'size,alloc,free,health', pool))
  const properties = await getProperties(dataset, ['available', 'compressratio'])
  const trouble = parseTrouble(await zpool('status', '-x', pool))
  return {
    sizeBytes: facts.sizeBytes,
    freeBytes: Math.min(facts.freeBytes, bytesOf(properties, 'available')),
    usedBytes: facts.allocatedBytes,
    compressionRatio: Number.parseFloat(propertyOf(properties, 'compressratio')),
    health: healthOf(facts.health, trouble),
    healthDetail: trouble === '' ? facts.health : `${facts.health}: ${trouble}`,
  }
}

/** A dataset of many blocks is freed behind its destruction, over as many transaction groups as that takes. */
const FREEING_TIMEOUT_MS = 15 * 60_000

/** What is freed counts as free two groups later (TXG_DEFER_SIZE), of which one ends every 5 seconds by itself. */
const GROUPS = 3

export async function untilFreed(dataset: string, signal?: AbortSignal): Promise<void> {
  const pool = poolOf(dataset)
  await run(['zpool', 'wait', '-t', 'free', pool], { timeoutMs: FREEING_TIMEOUT_MS, signal, onlyLooks: true })
  for (let group = 0; group < GROUPS; group++) await run(['zpool', 'sync', pool], { signal })
}

function poolOf(dataset: string): string {
  return dataset.split('/')[0] ?? ''
}

function healthOf(health: string, trouble: string): PoolUsage['health'] {
  if (health === 'ONLINE') return trouble === '' ? 'OK' : 'DEGRADED'
  return health === 'DEGRADED' ? 'DEGRADED' : 'FAULTED'
}
