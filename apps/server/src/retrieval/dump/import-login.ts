import { randomBytes } from 'node:crypto'
import {
  type Account,
  createImportRole,
  IMPORT_ROLE,
  type Instance,
  LAB_DATABASE,
  withLabConnection,
} from '@dblab/provision'
import { writePassFile } from '../tools/pass-file.ts'

/** A way in for the restoring tool, which the socket admits to nobody but the lab. */
export interface ImportLogin extends AsyncDisposable {
  user: string
  /** What PGPASSFILE is to name. */
  passFile: string
}

/**
 * Lets the import role in over TCP with a password that is made for this one import. Disposing takes the password, the right to log in, the file and
 * whatever is still connected away; the role itself stays, for it owns what was restored.
 *
 * @param directory for the file; made here, where the account can pass and nobody else can make it first
 */
export async function openImportLogin(instance: Instance, account: Account, directory: string): Promise<ImportLogin> {
  await using undo = new AsyncDisposableStack()
  const password = randomBytes(24).toString('base64url')
  undo.defer(() => closeRole(instance))
  await createImportRole(instance, password)
  const file = undo.use(await writePassFile(directory, account, { user: IMPORT_ROLE, password }))
  const kept = undo.move()
  return { user: IMPORT_ROLE, passFile: file.path, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

async function closeRole(instance: Instance): Promise<void> {
  await withLabConnection(instance, LAB_DATABASE, async (client) => {
    // A tool that was stopped leaves its queries running: a server notices that its client is gone only when it writes to it.
    await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [IMPORT_ROLE])
    const { rowCount } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [IMPORT_ROLE])
    if (rowCount !== 0) await client.query(`ALTER ROLE ${client.escapeIdentifier(IMPORT_ROLE)} NOLOGIN PASSWORD NULL`)
  })
}
