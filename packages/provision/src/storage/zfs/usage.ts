import type { PoolUsage } from '../driver.ts'
import { getProperties, zpool } from './commands.ts'
import { bytesOf, parsePool, parseTrouble, propertyOf } from './output.ts'

/** Of the pool that the dataset lies in; what is free is what the dataset may take. */
export async function poolUsage(dataset: string): Promise<PoolUsage> {
  const pool = dataset.split('/')[0] ?? ''
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

function healthOf(health: string, trouble: string): PoolUsage['health'] {
  if (health === 'ONLINE') return trouble === '' ? 'OK' : 'DEGRADED'
  return health === 'DEGRADED' ? 'DEGRADED' : 'FAULTED'
}
