import pg from 'pg'

/** Runs one statement as a clone's user, over TCP, and answers with its rows. */
export async function query<T extends pg.QueryResultRow>(connectionString: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 10_000 })
  // A connection that is cut says so here too; the query fails with it.
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<T>(sql)).rows
  } finally {
    await client.end()
  }
}

/** A session that stays open, for what must never notice anything. */
export async function openSession(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString })
  // A connection that is cut says so here; the test sees it at its next query.
  client.on('error', () => {})
  await client.connect()
  return client
}
