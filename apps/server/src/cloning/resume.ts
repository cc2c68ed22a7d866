import type { CloneRecord } from '../catalogue/clones.ts'
import type { Jobs } from './jobs.ts'
import type { CloneLifecycle } from './lifecycle.ts'

/** True when the catalogue has an operation of the clone under way. */
export function isUnderWay({ status }: CloneRecord): boolean {
  return status === 'CREATING' || status === 'RESETTING' || status === 'DELETING'
}

/** Does an operation again from its beginning that has no job behind it: the server that began it died, or a defect ended it. */
export function resumeOperation(clone: CloneRecord, jobs: Jobs, lifecycle: CloneLifecycle): void {
  const { id, status } = clone
  if (status === 'CREATING') void jobs.add(id, (signal) => lifecycle.create(id, { signal }), { asker: clone })
  if (status === 'RESETTING') void jobs.add(id, (signal) => lifecycle.reset(id, { signal }), { asker: clone })
  if (status === 'DELETING') void jobs.add(id, () => lifecycle.delete(id), { asker: clone, kind: 'urgent' })
}
