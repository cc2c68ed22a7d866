import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from '@dblab/provision'
import { asAccount } from './tool-process.ts'

/** A password in a file that the account alone can read, for a tool that reads it from where PGPASSFILE says. */
export interface PassFile extends AsyncDisposable {
  path: string
}

/**
 * Arguments and environment are seen by others, a file of mode 0600 by its owner alone. It is gone when this is disposed.
 * https://www.postgresql.org/docs/current/libpq-pgpass.html
 *
 * @param directory for the file; made here, where the account can pass and nobody else can make it first
 */
export async function writePassFile(
  directory: string,
  account: Account,
  { user, password }: { user: string; password: string },
): Promise<PassFile> {
  await using undo = new AsyncDisposableStack()
  await mkdir(directory, { mode: 0o700 })
  undo.defer(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'pgpass')
  await writeFile(path, `*:*:*:${escaped(user)}:${escaped(password)}\n`, { mode: 0o600 })
  if (asAccount(account)) {
    // The file alone: what the tool could put into the directory, root would be led astray by as it removes it.
    await chmod(directory, 0o711)
    await chown(path, account.uid, account.gid)
  }
  const kept = undo.move()
  return { path, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

function escaped(text: string): string {
  return text.replaceAll(/[\\:]/g, '\\$&')
}
