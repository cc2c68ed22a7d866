import type { RetrievalFailure } from '@dblab/models'
import { isProvisionError } from '@dblab/provision'
import { explainSpace, firstCause } from '../../cloning/explain.ts'
import { isOutOfSpace, LabError } from '../../errors.ts'
import { errorTable } from '../../http/errors.ts'

/** A failure as GET /retrieval tells it. Of a defect, the log has the story. */
export function toFailure(raised: unknown): RetrievalFailure {
  const error = firstCause(raised)
  if (error instanceof LabError) return { code: error.code, message: error.message, hint: errorTable[error.code].hint }
  if (isOutOfSpace(error)) {
    return { code: 'NO_SPACE', message: explainSpace(error), hint: errorTable.NOT_ENOUGH_DISK_SPACE.hint }
  }
  if (isProvisionError(error)) return { code: error.code, message: error.message, hint: error.hint ?? '' }
  return { code: 'INTERNAL_ERROR', message: 'a defect of the server', hint: errorTable.INTERNAL_ERROR.hint }
}
