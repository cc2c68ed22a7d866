import type { Clone, Snapshot, Warning } from '@dblab/models'
import { Violation } from './violation.ts'

/** They stand for the machine as it is: a pool that fills, and limits that its storage can't keep. */
const OF_THE_MACHINE: readonly Warning['code'][] = ['DISK_SPACE_LOW', 'DISK_SPACE_CRITICAL', 'LIMIT_NOT_ENFORCED']

/** Something that was promised is not there, or what is there is known to nobody. */
const OF_LOSS: readonly Warning['code'][] = ['RECONCILE_FAILED', 'CATALOGUE_LOST', 'NO_SNAPSHOT']

/** A server that suffers nothing has nothing to complain of. @throws Violation */
export function checkWarnings(warnings: readonly Warning[]): void {
  const found = warnings.filter(({ code }) => !OF_THE_MACHINE.includes(code))
  if (found.length === 0) return
  const isLoss = found.some(({ code }) => OF_LOSS.includes(code))
  const texts = found.map(({ code, message }) => `${code}: ${message}`)
  throw new Violation(isLoss ? 'lost' : 'wrong', `the server warns in peace of\n${texts.join('\n')}`)
}

/**
 * After the clients have deleted all that they had: the server lists no clone, and of the snapshots only the lab's own.
 *
 * @param names of the clients, with which their clones and snapshots begin
 * @throws Violation
 */
export function checkNothingLeft(
  clones: readonly Pick<Clone, 'id'>[],
  snapshots: readonly Pick<Snapshot, 'id'>[],
  names: readonly string[],
): void {
  const ofClient = new RegExp(`^(${names.join('|')})-`)
  for (const { id } of clones) {
    if (ofClient.test(id)) throw new Violation('wrong', `clone ${id} was deleted, and is listed`)
    throw new Violation('orphaned', `clone ${id} is nobody's, and is listed`)
  }
  const kept = snapshots.find(({ id }) => ofClient.test(id))
  if (kept) throw new Violation('wrong', `snapshot ${kept.id} was deleted, and is listed`)
}
