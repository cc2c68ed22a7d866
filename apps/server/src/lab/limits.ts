import { Cgroups, type Controller, isProvisionError } from '@dblab/provision'
import type { Config } from '../config/schema.ts'

export interface InstanceBounds {
  /** Undefined where none are configured, or none can be kept. */
  cgroups: Cgroups | undefined
  /** Why the configured ones can't be kept, and what would help. */
  problem: { message: string; hint: string } | undefined
}

/** What keeps `clones.memoryMax` and `clones.cpus`. A machine that can't gives clones without them, and a warning. */
export async function openBounds({ clones }: Config, labId: string): Promise<InstanceBounds> {
  const controllers: Controller[] = []
  if (clones.memoryMax !== undefined) controllers.push('memory')
  if (clones.cpus !== undefined) controllers.push('cpu')
  if (controllers.length === 0) return { cgroups: undefined, problem: undefined }
  try {
    return { cgroups: await Cgroups.open(labId, controllers), problem: undefined }
  } catch (error) {
    if (!isProvisionError(error, 'UNAVAILABLE')) throw error
    const keys = controllers.map((name) => (name === 'memory' ? 'clones.memoryMax' : 'clones.cpus'))
    const message = `${keys.join(' and ')} ${keys.length > 1 ? 'are' : 'is'} not enforced: ${error.message}`
    return { cgroups: undefined, problem: { message, hint: error.hint ?? '' } }
  }
}
