import type { Client } from 'pg'

/** Each alteration holds a lock until the end of its batch, and the server has room for so many (max_locks_per_transaction). */
const BATCH = 200

/** Runs statements that take no parameters, a batch to a round trip and to a transaction. */
export async function runAll(client: Client, statements: readonly string[]): Promise<void> {
  for (let at = 0; at < statements.length; at += BATCH) {
    await client.query(statements.slice(at, at + BATCH).join(';\n'))
  }
}
