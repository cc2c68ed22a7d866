import { isProvisionError } from '@dblab/provision'
import { DISK_FULL, isOutOfSpace } from '../errors.ts'

/** Of a clone that ran with `fsync=off` while the host went down. */
export const LOST_WRITES =
  'The host went down while this clone ran with fsync=off, so its data can not be trusted. Reset the clone, or delete it.'

/** A failure as a clone's status message says it: what happened and what helps. Unknown errors are in the log, not here. */
export function explainFailure(error: unknown): string {
  const cause = firstCause(error)
  if (isOutOfSpace(cause) && !isProvisionError(cause)) return `${DISK_FULL} Make room there.`
  if (isProvisionError(cause)) return [cause.message, cause.hint].filter(Boolean).map(sentence).join(' ')
  return "The server's log says why."
}

/** What went wrong at first, where an undo failed too. */
export function firstCause(error: unknown): unknown {
  return error instanceof SuppressedError ? firstCause(error.suppressed) : error
}

function sentence(text: string | undefined): string {
  const trimmed = (text ?? '').trim()
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`
}
