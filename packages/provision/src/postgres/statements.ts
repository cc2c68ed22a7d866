import type { Client } from 'pg'

/** Each alteration holds a lock until the end of its batch, and the server has room for so many (max_locks_per_transaction). */
const BATCH = 200

/** How many rows are held here at once. */
const ROWS = 10_000

/** Runs statements that take no parameters, a batch to a round trip and to a transaction. */
export async function runAll(client: Client, statements: readonly string[]): Promise<void> {
  for (let at = 0; at < statements.length; at += BATCH) {
    await client.query(statements.slice(at, at + BATCH).join(';\n'))
  }
}

/**
 * Runs the statements that a query gives in its only column, `statement`, however many they are: the server keeps them, as they were found
 * before the first of them ran.
 */
export async function runEach(client: Client, query: string, values: readonly unknown[] = []): Promise<void> {
  await client.query(`declare found no scroll cursor with hold for ${query}`, [...values])
  for (;;) {
    const { rows } = await client.query<{ statement: string }>(`fetch ${ROWS} from found`)
    if (rows.length === 0) break
    await runAll(
      client,
      rows.map(({ statement }) => statement),
    )
  }
  await client.query('close found')
}
