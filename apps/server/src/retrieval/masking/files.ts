import { IMPORT_ROLE, type Instance, ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import { codeOf, databaseError, maskingFailure, reason } from './failure.ts'
import { maskingSession } from './session.ts'

/** A file of SQL, read when masking was prepared. */
export interface MaskingFile {
  path: string
  /** Undefined: the main one. */
  database: string | undefined
  sql: string
}

/**
 * Runs a file as one message to the server: it is parsed whole before anything of it runs, stops at its first error, and is one transaction
 * where it holds none of its own. It is SQL alone: nothing of psql's can run a program, end it early or make it go on after an error.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
 *
 * @throws ProvisionError FAILED with the line, without a value of the data
 */
export async function runMaskingFile(
  instance: Instance,
  database: string,
  file: MaskingFile,
  signal: AbortSignal,
): Promise<void> {
  // As the role that an import has: what the file makes is handed over with the rest.
  const options = { role: IMPORT_ROLE, dataSession: true, signal }
  await maskingSession(instance, database, (client) => runWhole(client, file), options)
}

async function runWhole(client: Client, file: MaskingFile): Promise<void> {
  let status = ''
  client.connection.on('readyForQuery', (message) => {
    status = (message as { status?: string }).status ?? ''
  })
  try {
    await client.query(file.sql)
  } catch (error) {
    throw fileFailure(file, error)
  }
  // https://www.postgresql.org/docs/current/protocol-message-formats.html, ReadyForQuery: idle, not in a transaction.
  if (status === 'I') return
  throw new ProvisionError('FAILED', `${file.path} ends inside a transaction`, {
    hint: 'Its last BEGIN needs a COMMIT.',
  })
}

function fileFailure(file: MaskingFile, error: unknown): unknown {
  const cause = databaseError(error)
  if (!cause) return maskingFailure(file.path, error)
  const line = lineAt(file.sql, Number(cause.position))
  const where = line === undefined ? file.path : `${file.path}:${line}`
  return new ProvisionError(codeOf(cause), `${where}: ${reason(cause)}`, {
    hint: /\\/.test(cause.message)
      ? "The file is run by the server, which knows none of psql's own commands: leave those out."
      : 'Nothing of the masked data was published. Mend the file, and refresh again.',
  })
}

/** Of a position in characters, from 1; an error of a statement that was parsed already has one within the whole text too. */
function lineAt(sql: string, position: number): number | undefined {
  if (!(position > 0)) return undefined
  return [...sql].slice(0, position - 1).filter((character) => character === '\n').length + 1
}
