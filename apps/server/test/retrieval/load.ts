import { setTimeout as delay } from 'node:timers/promises'
import type { LiveSource } from './live-source.ts'

/** Two tables that a load can write to. */
export const FILL = [
  'CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, balance int NOT NULL)',
  `INSERT INTO accounts SELECT i, 'owner ' || i, 0 FROM generate_series(1, 20000) i`,
  'CREATE TABLE entries (id bigserial PRIMARY KEY, account int REFERENCES accounts, amount int, at timestamptz DEFAULT now())',
]

/** Between two transactions. Without one, the load takes a processor that other tests need. */
const PAUSE_MS = process.env.DBLAB_LONG_TESTS ? 0 : 4

/** Writes into a database without end, until it is disposed. */
export function load(live: LiveSource, database: string): AsyncDisposable {
  let goesOn = true
  const done = (async () => {
    const client = live.client(database)
    await client.connect()
    while (goesOn) {
      await client.query(
        `WITH e AS (INSERT INTO entries (account, amount) SELECT 1 + (random() * 19999)::int, 1 FROM generate_series(1, 20) RETURNING account)
         UPDATE accounts a SET balance = balance + 1 FROM e WHERE a.id = e.account`,
      )
      if (PAUSE_MS > 0) await delay(PAUSE_MS)
    }
    await client.end()
  })()
  return {
    [Symbol.asyncDispose]: async () => {
      goesOn = false
      await done
    },
  }
}
