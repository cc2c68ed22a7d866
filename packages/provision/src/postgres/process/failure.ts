import { ProvisionError } from '../../errors.ts'
import type { InstanceSpec } from '../runtime.ts'
import { spaceError } from '../space.ts'

const MAX_LINES = 20
const MAX_CHARACTERS = 4000

/** Why a server ended while it started, from what it wrote since. Its words are English: the command line sees to that. */
export function startFailure(spec: InstanceSpec, log: readonly string[]): ProvisionError {
  if (portIsTaken(log)) return portTaken(spec)
  const noSpace = spaceError(log)
  if (noSpace) return noSpace
  return new ProvisionError('FAILED', `Postgres ended while it started${lastWords(log)}`, {
    hint: "Its last words say why. A setting that it does not know, or data that it can't read, are the usual reasons.",
  })
}

/**
 * The postmaster's own line, whole (pqcomm.c). What a stranger says at the port gets into the log too: within quotes, or in lines of its
 * own, which Postgres begins with a tab.
 */
const PORT_TAKEN = /^(?!\s)[^"]*\bLOG: {2}could not bind IPv[46] address "[^"]*": Address already in use$/

/** Postgres goes on when it could bind one of several addresses; for us, somebody else then has our port. */
export function portIsTaken(log: readonly string[]): boolean {
  return log.some((line) => PORT_TAKEN.test(line))
}

export function portTaken(spec: InstanceSpec): ProvisionError {
  return new ProvisionError('IN_USE', `port ${spec.port} of ${spec.host} is taken by another program`, {
    hint: 'Choose another port, or stop what listens there.',
  })
}

/** Of the file that a server tells its status in (AddToDataDirLockFile, miscinit.c); whole, as above. */
const STATUS_NOT_WRITTEN = /^(?!\s)[^"]*\bLOG: {2}could not (?:open|read from|write to) file "postmaster\.pid": /

/** Why nobody will hear from a server that it is ready: without space for the word it goes on all the same. Undefined when nothing is amiss. */
export function statusNotWritten(log: readonly string[]): ProvisionError | undefined {
  const line = log.find((text) => STATUS_NOT_WRITTEN.test(text))
  if (line === undefined) return undefined
  return (
    spaceError([line]) ??
    new ProvisionError('FAILED', `Postgres could not tell that it is ready${lastWords(log)}`, {
      hint: 'Its last words say why. Look at the storage.',
    })
  )
}

/** What may hold a user's words, or values of the data: what a statement was, and where in it something happened. */
const UNTOLD = /^\s|\b(DETAIL|STATEMENT|QUERY|CONTEXT|BACKTRACE|LOCATION): /

/** The end of the log, as the end of a sentence. Without the lines that could say what a user said: this goes into messages. */
export function lastWords(log: readonly string[], maxLines = MAX_LINES, maxCharacters = MAX_CHARACTERS): string {
  const told = log.filter((line) => !UNTOLD.test(line))
  const text = told.slice(-maxLines).join('\n').trim().slice(-maxCharacters)
  return text === '' ? ', without a word in its log' : `: ${text}`
}
