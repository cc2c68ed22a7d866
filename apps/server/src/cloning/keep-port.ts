import type { Provisioner } from '@dblab/provision'
import type { CloneRecord } from '../catalogue/clones.ts'
import type { Logger } from '../log.ts'

/**
 * Sees to it that a clone's Postgres answers at the clone's port, whichever it was started at: nothing changes where it does. A failure is in the
 * log, and the monitor's next look tries again.
 */
export async function keepPort(
  { id, volumeId, port }: Pick<CloneRecord, 'id' | 'volumeId' | 'port'>,
  { provisioner, log }: { provisioner: Provisioner; log: Logger },
): Promise<void> {
  try {
    if (volumeId !== null) await provisioner.ports.answerAt(volumeId, port)
  } catch (error) {
    log.error('a clone may not answer at its port', { clone: id, port, error })
  }
}
