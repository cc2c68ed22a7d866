import type { Clone } from '@dblab/models'
import pg from 'pg'
import type { CloneModel } from './model.ts'
import { Violation } from './violation.ts'

const TABLE = 'CREATE TABLE IF NOT EXISTS torture (v int PRIMARY KEY)'

/** A client's sessions with its clones: over TCP, with its own login. */
export class Sessions {
  readonly #password: string
  readonly #held: { clone: CloneModel; session: pg.Client; row: number }[] = []

  constructor(password: string) {
    this.#password = password
  }

  holds(clone: CloneModel): boolean {
    return this.#held.some((held) => held.clone === clone)
  }

  /** Inserts rows, in a transaction of their own. */
  async insert(clone: CloneModel, view: Clone, rows: readonly number[]): Promise<void> {
    const session = await this.#connect(view)
    try {
      await session.query(TABLE)
      await session.query('INSERT INTO torture SELECT unnest($1::int[])', [rows])
    } catch (error) {
      throw new Violation('wrong', `a session of clone ${clone.id} was broken: ${String(error)}`)
    } finally {
      await session.end()
    }
  }

  /** Begins a transaction that stays open over whatever happens to the server. */
  async hold(clone: CloneModel, view: Clone, row: number): Promise<void> {
    const session = await this.#connect(view)
    await session.query(TABLE)
    await session.query('BEGIN')
    await session.query('INSERT INTO torture VALUES ($1)', [row])
    this.#held.push({ clone, session, row })
  }

  /** Commits what is held open of these clones. @throws Violation where a session was broken */
  async endAll(which: (clone: CloneModel) => boolean): Promise<void> {
    for (const held of this.#held.filter(({ clone }) => which(clone))) {
      const { clone, session, row } = held
      this.#held.splice(this.#held.indexOf(held), 1)
      clone.sent([row])
      try {
        await session.query('COMMIT')
        await session.end()
      } catch (error) {
        throw new Violation('lost', `an open session of clone ${clone.id} was broken: ${String(error)}`)
      }
      clone.acknowledged([row])
    }
  }

  /** Undefined while its Postgres does not answer, which it may not for a while. @throws Violation where nobody can log in */
  async rowsOf(clone: CloneModel, view: Clone): Promise<Set<number> | undefined> {
    let session: pg.Client
    try {
      session = await this.#connect(view)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : ''
      // 57P03: it is starting up, or shutting down.
      if (['ECONNREFUSED', 'ECONNRESET', '57P03'].includes(code)) return undefined
      throw new Violation('wrong', `nobody can log in to clone ${clone.id}: ${String(error)}`)
    }
    try {
      const { rows: tables } = await session.query(`SELECT to_regclass('torture') IS NOT NULL AS there`)
      if (!tables[0].there) return new Set()
      const { rows } = await session.query<{ v: number }>('SELECT v FROM torture')
      return new Set(rows.map(({ v }) => v))
    } finally {
      await session.end()
    }
  }

  async #connect({ db }: Clone): Promise<pg.Client> {
    const url = new URL(db.connStr)
    url.password = this.#password
    const session = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 20_000 })
    // A connection that breaks between two queries fails the next one.
    session.on('error', () => {})
    await session.connect()
    return session
  }
}
