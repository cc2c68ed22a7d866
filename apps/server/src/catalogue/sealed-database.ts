import { closeSync, fdatasync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { failPointNow } from '@dblab/provision'
import { type Contents, changed, digestOf, formatContents, NOTHING, parseContents, type Seal } from './seal.ts'

/** The row of `meta` that says what all other rows are, in the very transaction that changes them. */
const KEY = 'contents'

/**
 * A database that knows when bytes of it are not those that were written. SQLite checks its structure and not its contents, and takes a
 * log with a torn end for a shorter one. So triggers keep a digest of all rows in the database itself, and the seal beside it keeps what
 * was last committed.
 */
export class SealedDatabase extends DatabaseSync {
  readonly #seal: Seal
  /** Reads the row; there once it is kept. */
  #reading: StatementSync | undefined
  /** The number of changes that was written into the seal last. */
  #sealed = -1n
  /** https://www.sqlite.org/tempfiles.html#walfile: there from the first commit until the database is closed. */
  readonly #logFile: string
  #log: number | undefined
  #isAside = false
  #flushing: Promise<void> | undefined
  /** What follows it, for all who came meanwhile. */
  #nextFlush: Promise<void> | undefined
  #sealing: Promise<void> = Promise.resolve()

  constructor(file: string, seal: Seal) {
    super(file, { enableForeignKeyConstraints: true, timeout: 5000 })
    this.#seal = seal
    this.#logFile = `${file}-wal`
  }

  /** As SQLite's own, but that a write outside a transaction is sealed when it is done. */
  override prepare(sql: string): StatementSync {
    const statement = super.prepare(sql)
    const run = statement.run.bind(statement)
    const sealing = (...args: Parameters<typeof run>) => {
      const result = run(...args)
      this.#sealCommitted()
      return result
    }
    return Object.assign(statement, { run: sealing })
  }

  override exec(sql: string): void {
    super.exec(sql)
    this.#sealCommitted()
  }

  override close(): void {
    super.close()
    this.#seal.close()
    if (this.#log !== undefined) closeSync(this.#log)
    this.#log = undefined
  }

  /**
   * What `work` commits is not on disk when this returns, but once `flush` has resolved, or another commit has returned. A process that is
   * killed loses nothing of it; a power cut may.
   */
  aside<T>(work: () => T): T {
    // https://www.sqlite.org/pragma.html#pragma_synchronous
    super.exec('PRAGMA synchronous = NORMAL')
    this.#isAside = true
    try {
      return work()
    } finally {
      this.#isAside = false
      super.exec('PRAGMA synchronous = FULL')
    }
  }

  /** Takes to disk what was committed until now, in one go for all who ask meanwhile. The seal follows, which nobody has to wait for. */
  flush(): Promise<void> {
    const before = this.#flushing
    this.#nextFlush ??= (async () => {
      // Who asked for that one is told of its failure.
      await before?.catch(() => undefined)
      this.#flushing = this.#nextFlush
      this.#nextFlush = undefined
      await this.#flush()
    })()
    return this.#nextFlush
  }

  async #flush(): Promise<void> {
    const sealing = this.#sealing
    // Whose failure is told once; until the next seal an older one stands, which refuses nothing.
    this.#sealing = Promise.resolve()
    await sealing
    // Closed, all of it is on disk.
    if (!this.isOpen) return
    const contents = this.#stored()?.contents
    try {
      this.#log ??= openSync(this.#logFile, 'r')
      await promisify(fdatasync)(this.#log)
    } catch (error) {
      if (this.isOpen) throw error
    }
    if (!this.isOpen || contents === undefined || contents.changes <= this.#sealed) return
    failPointNow('catalogue.committed')
    this.#sealing = this.#seal.writeAside(contents)
    // The next flush is told.
    this.#sealing.catch(() => undefined)
    failPointNow('catalogue.sealed')
    this.#sealed = contents.changes
  }

  /**
   * Compares what is there with what it and the seal say was there.
   *
   * @returns what is wrong; undefined for nothing, and where nobody has written down what there should be
   */
  findDamage(): string | undefined {
    const stored = this.#stored()
    const sealed = this.#seal.read()
    if (stored === undefined) return sealed && 'it does not say what it holds, though it did'
    if (stored.version !== this.#version()) return undefined
    if (sealed && stored.contents.changes < sealed.changes)
      return `its last ${sealed.changes - stored.contents.changes} changes are missing`
    if (sealed?.changes === stored.contents.changes && sealed.digest !== stored.contents.digest)
      return 'it is not the one that was written last'
    return stored.contents.digest === this.#digest() ? undefined : 'what it holds is not what was written'
  }

  /** Watches every table from here on. To be called once, after the schema is as it will stay. */
  watch(first: Contents = NOTHING): void {
    const version = this.#version()
    this.function('dblab_contents', (value, from, to) => {
      const { contents } = parseValue(String(value)) ?? { contents: first }
      return formatValue(version, changed(contents, textOf(from), textOf(to)))
    })
    const before = this.#stored()?.contents ?? first
    const contents = { changes: before.changes + 1n, digest: this.#digest() }
    super
      .prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
      .run(KEY, formatValue(version, contents))
    for (const table of this.#tables()) super.exec(this.#triggers(table))
    this.#reading = super.prepare('SELECT value FROM meta WHERE key = ?')
    this.#sealCommitted()
  }

  /** Temporary, so that they are always those of the columns that there are, and other programs can read and mend the file. */
  #triggers(table: string): string {
    const row = (version: 'OLD' | 'NEW') => this.#rowOf(table, `${version}.`)
    const only = (versions: string[]) =>
      table === 'meta' ? `WHEN ${versions.map((version) => `${version}.key <> '${KEY}'`).join(' AND ')}` : ''
    const body = (from: string, to: string) =>
      `BEGIN UPDATE meta SET value = dblab_contents(value, ${from}, ${to}) WHERE key = '${KEY}'; END`
    return `
      CREATE TEMP TRIGGER "contents_insert_${table}" AFTER INSERT ON main."${table}" ${only(['NEW'])} ${body('NULL', row('NEW'))};
      CREATE TEMP TRIGGER "contents_update_${table}" AFTER UPDATE ON main."${table}" ${only(['OLD', 'NEW'])} ${body(row('OLD'), row('NEW'))};
      CREATE TEMP TRIGGER "contents_delete_${table}" AFTER DELETE ON main."${table}" ${only(['OLD'])} ${body(row('OLD'), 'NULL')};`
  }

  /** Of all rows, and of the schema that they stand in. */
  #digest(): bigint {
    const schema = super.prepare(
      "SELECT group_concat(sql, ';') AS text FROM (SELECT sql FROM main.sqlite_schema ORDER BY name)",
    )
    let sum = digestOf(String(schema.get()?.text))
    for (const table of this.#tables()) {
      const where = table === 'meta' ? `WHERE key <> '${KEY}'` : ''
      const rows = super.prepare(`SELECT ${this.#rowOf(table, '')} AS text FROM main."${table}" ${where}`).iterate()
      for (const { text } of rows) sum += digestOf(String(text))
    }
    return sum % (1n << 64n)
  }

  /** An expression: the table and all its values as one text, by which no two rows are alike. */
  #rowOf(table: string, prefix: string): string {
    const columns = super
      .prepare('SELECT name FROM pragma_table_info(?) ORDER BY cid')
      .all(table)
      .map(({ name }) => `quote(${prefix}"${String(name)}")`)
    return [`'${table}'`, ...columns].join(` || ',' || `)
  }

  #tables(): string[] {
    return super
      .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
      .all()
      .map(({ name }) => String(name))
  }

  #stored(): { version: string; contents: Contents } | undefined {
    const reading = this.#reading ?? super.prepare('SELECT value FROM meta WHERE key = ?')
    return parseValue(String(reading.get(KEY)?.value ?? ''))
  }

  #sealCommitted(): void {
    if (this.#reading === undefined || this.isTransaction || this.#isAside) return
    const contents = this.#stored()?.contents
    if (contents === undefined || contents.changes === this.#sealed) return
    failPointNow('catalogue.committed')
    this.#seal.write(contents)
    failPointNow('catalogue.sealed')
    this.#sealed = contents.changes
  }

  /** The schema's: who changes that without us has changed the rows as well. */
  #version(): string {
    return String(super.prepare('PRAGMA user_version').get()?.user_version)
  }
}

function formatValue(version: string, contents: Contents): string {
  return `${version}/${formatContents(contents)}`
}

function parseValue(text: string): { version: string; contents: Contents } | undefined {
  const [version = '', rest = ''] = text.split('/')
  const contents = parseContents(rest)
  return contents && { version, contents }
}

function textOf(value: unknown): string | null {
  return value === null ? null : String(value)
}
