import { ProvisionError } from '@dblab/provision'
import { DatabaseError } from 'pg'

/**
 * Why a step of masking failed, in words that show nothing of the data. Postgres' own sentence is kept where its kind never quotes a value: a
 * DETAIL names keys and whole rows, an error of the class "data exception" (22) or one that a function of the data raised says what it met.
 * The cause is left behind for the same reason. https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export function maskingFailure(step: string, error: unknown, hint?: string): unknown {
  const database = databaseError(error)
  if (!database) return error
  return new ProvisionError(codeOf(database), `${step} failed: ${reason(database)}`, {
    hint: hint ?? hintFor(database.code ?? ''),
  })
}

/** disk_full; the classes of a connection that is gone and of a server that ends. */
export function codeOf({ code = '' }: DatabaseError): 'NO_SPACE' | 'UNAVAILABLE' | 'FAILED' {
  if (code === '53100') return 'NO_SPACE'
  return code.startsWith('57P0') || code.startsWith('08') ? 'UNAVAILABLE' : 'FAILED'
}

/** The server's sentence where it can be told, else the state that it gave. */
export function reason(error: DatabaseError): string {
  if (!mayQuoteValues(error)) return error.message
  return `SQLSTATE ${error.code}, whose text may quote the data and is left out`
}

export function databaseError(error: unknown): DatabaseError | undefined {
  if (error instanceof DatabaseError) return error
  return error instanceof ProvisionError && error.cause instanceof DatabaseError ? error.cause : undefined
}

/** Classes whose sentences are Postgres' own, and name objects, limits or what a file itself says. */
const SAFE_CLASSES = ['08', '0A', '23', '25', '28', '2B', '3D', '3F', '40', '42', '53', '54', '55', '57', '58', 'XX']

/** What comes out of a function may be raised with any state, or be about a statement that was made of values. A COPY has a context as well. */
function mayQuoteValues({ code = '', where }: DatabaseError): boolean {
  return !SAFE_CLASSES.includes(code.slice(0, 2)) || (where !== undefined && !where.startsWith('COPY '))
}

function hintFor(state: string): string {
  // https://www.postgresql.org/docs/current/runtime-config-locks.html: each table and index of one transaction is a lock.
  if (state === '53200') return 'Raise max_locks_per_transaction in postgres.settings.'
  if (state.startsWith('53')) return 'Free space or memory: masking needs room for the largest table three times.'
  if (state.startsWith('23'))
    return 'The rule makes values that the constraint forbids: choose another kind for the column.'
  return 'Nothing of the masked data was published. Mend the rule or the file, and refresh again.'
}
