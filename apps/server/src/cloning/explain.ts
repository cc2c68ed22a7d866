import { isProvisionError, isSystemError } from '@dblab/provision'
import { DISK_FULL, isOutOfSpace, LabError } from '../errors.ts'

/** Of a clone that ran with `fsync=off` while the host went down. */
export const LOST_WRITES =
  'The host went down while this clone ran with fsync=off, so its data can not be trusted. Reset the clone, or delete it.'

/** What the system refused, where it is the disk that says so. */
const SYSTEM_FAILURES: Readonly<Record<string, string>> = {
  EROFS: "The file system is read-only: the kernel's log (dmesg) tells whether it failed.",
  EIO: "The disk can't be read or written: see the kernel's log (dmesg).",
  ENOENT: 'A part of its data is not there: is the pool mounted?',
  EACCES: "A part of its data is not open to the server's account.",
}

/** A failure as a clone's status message says it: what happened and what helps. Unknown errors are in the log, not here. */
export function explainFailure(error: unknown): string {
  const cause = firstCause(error)
  if (isOutOfSpace(cause)) return `Not enough disk space (NOT_ENOUGH_DISK_SPACE): ${explainSpace(cause)}`
  if (isProvisionError(cause)) return [cause.message, cause.hint].filter(Boolean).map(sentence).join(' ')
  return (isSystemError(cause) && SYSTEM_FAILURES[cause.code ?? '']) || "The server's log says why."
}

/** Which disk has no room, and what helps. */
export function explainSpace(raised: unknown): string {
  const error = firstCause(raised)
  if (isProvisionError(error)) return [error.message, error.hint].filter(Boolean).map(sentence).join(' ')
  if (error instanceof LabError) return sentence(error.message)
  return `${DISK_FULL} Make room there.`
}

/** What went wrong at first, where an undo failed too. */
export function firstCause(error: unknown): unknown {
  return error instanceof SuppressedError ? firstCause(error.suppressed) : error
}

function sentence(text: string | undefined): string {
  const trimmed = (text ?? '').trim()
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`
}
