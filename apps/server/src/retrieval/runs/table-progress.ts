/** A table by `schema.name`, and the bytes that its rows take. */
export type TableSizes = ReadonlyMap<string, number>

export interface TableCounts {
  tablesDone: number
  tablesTotal: number
  bytesDone: number
  bytesTotal: number
}

/**
 * Counts tables by what pg_dump and pg_restore say with --verbose: each when it begins, and, with several jobs, when one is done. With one job
 * the next one's begin is the last one's end.
 */
export class TableProgress {
  readonly #sizes: TableSizes
  readonly #inParallel: boolean
  readonly #total: { tables: number; bytes: number }
  #begun: string[] = []
  #done = { tables: 0, bytes: 0 }
  #copiedBytes = 0

  constructor(sizes: TableSizes, { jobs }: { jobs: number }) {
    this.#sizes = sizes
    this.#inParallel = jobs > 1
    this.#total = { tables: sizes.size, bytes: [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0) }
  }

  /** @returns whether the line told of anything */
  line(text: string): boolean {
    const begun = /(?:dumping contents of|processing data for) table "(.*)"$/.exec(text)?.[1]
    if (begun !== undefined) {
      if (!this.#inParallel) this.#finish(this.#begun.splice(0))
      this.#begun.push(begun)
      return true
    }
    const finished = /finished item \d+ TABLE DATA (.*)$/.exec(text)?.[1]
    if (finished === undefined) return false
    // Its schema is not told.
    const index = this.#begun.findIndex((name) => name.slice(name.indexOf('.') + 1) === finished)
    this.#finish(index < 0 ? [finished] : this.#begun.splice(index, 1))
    return true
  }

  /** What the tables under way have copied so far, as the server says it: a text's bytes, which are about those of its rows. */
  copied(bytes: number): void {
    const most = this.#begun.reduce((sum, name) => sum + (this.#sizes.get(name) ?? 0), 0)
    this.#copiedBytes = Math.min(bytes, most)
  }

  get counts(): TableCounts {
    const { tables, bytes } = this.#total
    return {
      tablesDone: Math.min(this.#done.tables, tables),
      tablesTotal: tables,
      bytesDone: Math.min(this.#done.bytes + this.#copiedBytes, bytes),
      bytesTotal: bytes,
    }
  }

  #finish(names: readonly string[]): void {
    for (const name of names) {
      this.#done.tables++
      this.#done.bytes += this.#sizes.get(name) ?? 0
    }
    if (names.length > 0) this.#copiedBytes = 0
  }
}

/** Several databases, one after the other, as one. */
export function addCounts(counts: readonly TableCounts[]): TableCounts {
  return counts.reduce(
    (sum, one) => ({
      tablesDone: sum.tablesDone + one.tablesDone,
      tablesTotal: sum.tablesTotal + one.tablesTotal,
      bytesDone: sum.bytesDone + one.bytesDone,
      bytesTotal: sum.bytesTotal + one.bytesTotal,
    }),
    { tablesDone: 0, tablesTotal: 0, bytesDone: 0, bytesTotal: 0 },
  )
}
