import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { eventually } from '../support/lab.ts'
import { query } from '../support/sql.ts'

/** What no file system compresses. */
const INSERT = `INSERT INTO written SELECT $1::int, string_agg(md5(random()::text || part), '')
  FROM generate_series(1, $2) part ON CONFLICT DO NOTHING`

/** Somebody who adds rows to a clone, one commit at a time, and knows which of them were acknowledged. */
export class Writer {
  readonly #url: string
  readonly #padding: number
  readonly #end = new AbortController()
  #acknowledged = 0
  #refusals: string[] = []
  #running: Promise<void> | undefined

  constructor(url: string, padding = 2000) {
    this.#url = url
    this.#padding = padding
  }

  get acknowledged(): number {
    return this.#acknowledged
  }

  /** What was said to it when a row was not taken. */
  get refusals(): readonly string[] {
    return this.#refusals
  }

  async start(): Promise<void> {
    await query(this.#url, 'CREATE TABLE written (id int PRIMARY KEY, padding text)')
    await query(this.#url, 'ALTER TABLE written ALTER padding SET STORAGE EXTERNAL')
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#end.abort()
    await this.#running
  }

  /** The numbers that were acknowledged and are not there. */
  async lost(): Promise<number> {
    // A Postgres that has ended its sessions recovers first.
    await eventually(
      'it takes logins',
      () =>
        query(this.#url, 'SELECT 1').then(
          () => true,
          () => false,
        ),
      60_000,
    )
    const [row] = await query<{ lost: number }>(
      this.#url,
      `SELECT count(*)::int AS lost FROM generate_series(1, ${this.#acknowledged}) number
       WHERE NOT EXISTS (SELECT FROM written WHERE id = number)`,
    )
    return row?.lost ?? -1
  }

  async #run(): Promise<void> {
    let next = 1
    while (!this.#end.signal.aborted) {
      const client = new pg.Client({ connectionString: this.#url, connectionTimeoutMillis: 5000 })
      client.on('error', () => {})
      try {
        await client.connect()
        while (!this.#end.signal.aborted) {
          // A commit whose answer got lost may be there: the next try then finds its own row.
          await client.query(INSERT, [next, Math.ceil(this.#padding / 32)])
          this.#acknowledged = next++
          await delay(2)
        }
      } catch (error) {
        this.#refusals.push(error instanceof Error ? error.message : String(error))
        await delay(200)
      } finally {
        await client.end().catch(() => {})
      }
    }
  }
}

/** Somebody who reads in one session, and must never notice anything. */
export class Reader {
  readonly #client: pg.Client
  readonly #end = new AbortController()
  #error: unknown
  #answers = 0
  #running: Promise<void> | undefined

  constructor(url: string) {
    this.#client = new pg.Client({ connectionString: url })
    this.#client.on('error', (error) => {
      this.#error ??= error
    })
  }

  async start(): Promise<void> {
    await this.#client.connect()
    this.#running = this.#run()
  }

  /** @throws what it noticed */
  async stop(): Promise<number> {
    this.#end.abort()
    await this.#running
    await this.#client.end()
    if (this.#error !== undefined) throw this.#error
    return this.#answers
  }

  async #run(): Promise<void> {
    try {
      while (!this.#end.signal.aborted) {
        await this.#client.query('SELECT count(*), sum(quantity) FROM order_items')
        this.#answers++
        await delay(20)
      }
    } catch (error) {
      this.#error ??= error
    }
  }
}
