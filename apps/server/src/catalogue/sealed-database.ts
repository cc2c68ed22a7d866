import { DatabaseSync, type StatementSync } from 'node:sqlite'
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
  /** What was written into the seal last. */
  #sealed = ''

  constructor(file: string, seal: Seal) {
    super(file, { enableForeignKeyConstraints: true, timeout: 5000 })
    this.#seal = seal
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
    if (this.#reading === undefined || this.isTransaction) return
    const stored = this.#stored()
    const text = stored && formatContents(stored.contents)
    if (!stored || text === undefined || text === this.#sealed) return
    failPointNow('catalogue.committed')
    this.#seal.write(stored.contents)
    failPointNow('catalogue.sealed')
    this.#sealed = text
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
