import pg from 'pg'

/** Runs one statement as a clone's user, and answers with its rows. */
export async function query(connectionString: string, sql: string): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 10_000 })
  await client.connect()
  try {
    return (await client.query<pg.QueryResultRow>(sql)).rows
  } finally {
    await client.end()
  }
}
