import type { DatabaseSync } from 'node:sqlite'
import { deepFreeze } from '../freeze.ts'

export interface RowMemoryOptions<Row> {
  db: DatabaseSync
  /** All rows that there are, in any order. */
  readAll: () => Row[]
  read: (id: string) => Row | undefined
  /** As for a sort. */
  compare: (a: Row, b: Row) => number
}

/**
 * The rows of a table as they were read last, so that to look at them costs no query. A row that was written, by whichever statement, is read anew
 * when it is next asked for. What is read within a transaction is not kept: a rollback may undo it. As long as a row is not written it is
 * the same object, and nobody can change it.
 */
export class RowMemory<Row extends { readonly id: string }> {
  readonly #options: RowMemoryOptions<Row>
  readonly #rows: Map<string, Row>
  readonly #written = new Set<string>()
  /** Undefined where it has to be put in order anew. */
  #ordered: readonly Row[] | undefined

  constructor(options: RowMemoryOptions<Row>) {
    this.#options = options
    this.#rows = new Map(options.readAll().map((row) => [row.id, deepFreeze(row)]))
  }

  /** To be called of every row that is written, as `watchRows` does: before it is read again. */
  noteWritten(id: string): void {
    this.#written.add(id)
  }

  get(id: string): Row | undefined {
    if (!this.#written.has(id)) return this.#rows.get(id)
    const row = this.#read(id)
    if (!this.#options.db.isTransaction) this.#keep(id, row)
    return row
  }

  /** In order. The array is the caller's own. */
  list(): Row[] {
    if (this.#written.size > 0 && this.#options.db.isTransaction) return this.#listUncommitted()
    for (const id of this.#written) this.#keep(id, this.#read(id))
    this.#ordered ??= [...this.#rows.values()].sort(this.#options.compare)
    return [...this.#ordered]
  }

  #listUncommitted(): Row[] {
    const rows = new Map(this.#rows)
    for (const id of this.#written) put(rows, id, this.#read(id))
    return [...rows.values()].sort(this.#options.compare)
  }

  #keep(id: string, row: Row | undefined): void {
    put(this.#rows, id, row)
    this.#written.delete(id)
    this.#ordered = undefined
  }

  #read(id: string): Row | undefined {
    return deepFreeze(this.#options.read(id))
  }
}

function put<Row>(rows: Map<string, Row>, id: string, row: Row | undefined): void {
  if (row) rows.set(id, row)
  else rows.delete(id)
}

/** As SQLite orders texts, whatever the locale, as far as they are ASCII: times in UTC, and ids. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
