/** What `pg_restore --list --verbose` says of an archive's contents. */
export interface ArchiveListing {
  /** Tables that bring data. */
  tables: number
  /** What is restored, by the numbers of the table of contents; undefined for all. */
  restored: readonly number[] | undefined
  /** What is not, for people. */
  leftOut: readonly string[]
}

/** A foreign key, by its table. */
export interface ForeignKey {
  schema: string
  table: string
  name: string
}

/** What is decided on stands at a line's beginning; names may be as long as whoever made the archive liked. */
const lineLimit = 500

const entry = /^(\d+); \d+ \d+ \S/
const known =
  /^\d+; \d+ \d+ (TABLE DATA|USER MAPPING|FOREIGN TABLE|MATERIALIZED VIEW DATA|MATERIALIZED VIEW|VIEW|FK CONSTRAINT|COMMENT) (.*)$/

/**
 * Reads the output of `pg_restore --list --verbose`, piece by piece. A line is `215; 1259 16408 TABLE DATA public orders alice`; names are written
 * without quotes, so that only what stands before them can be told apart. https://www.postgresql.org/docs/current/app-pgrestore.html
 *
 * Foreign keys that would not hold are left out, and so is what would have the restore connect to other servers: user mappings, which hold their passwords, and the filling of materialized views
 * that read foreign tables.
 */
export class ArchiveListingReader {
  #rest = ''
  #tables = 0
  readonly #entries: number[] = []
  /** By number, in words. */
  readonly #mappings = new Map<number, string>()
  readonly #fillings = new Map<number, string>()
  readonly #foreign = new Set<number>()
  /** What views stand on. */
  readonly #needs = new Map<number, readonly number[]>()
  readonly #foreignKeys = new Map<number, ForeignKey>()
  /** Of those. */
  readonly #comments = new Set<number>()
  readonly #unwanted: readonly ForeignKey[]

  /** @param unwanted would not hold in what is restored */
  constructor(unwanted: readonly ForeignKey[] = []) {
    this.#unwanted = unwanted
  }

  push(chunk: Buffer): void {
    const lines = (this.#rest + chunk.toString('latin1')).split('\n')
    const rest = lines.pop() ?? ''
    this.#rest = rest.startsWith(';') ? rest : rest.slice(0, lineLimit)
    for (const line of lines) this.#take(line)
  }

  listing(): ArchiveListing {
    const fillings = [...this.#fillings].filter(([number]) => this.#reachesForeign(number))
    const left = new Set([
      ...this.#mappings.keys(),
      ...this.#foreignKeys.keys(),
      ...this.#comments,
      ...fillings.map(([number]) => number),
    ])
    return {
      tables: this.#tables,
      restored: left.size === 0 ? undefined : this.#entries.filter((number) => !left.has(number)),
      leftOut: [
        ...[...this.#mappings.values()].map((what) => `removed: ${what}`),
        ...[...this.#foreignKeys.values()].map(
          ({ schema, table, name }) =>
            `left out, since not all that it refers to is chosen: the foreign key ${name} of ${schema}.${table}`,
        ),
        ...fillings.map(([, name]) => `left empty, since it reads foreign tables: the materialized view ${name}`),
      ],
    }
  }

  #take(line: string): void {
    const needs = /^;\s+depends on:((?: \d+)+)/.exec(line)?.[1]
    if (needs !== undefined) this.#noteNeeds(needs.trim().split(' ').map(Number))
    const number = Number(entry.exec(line)?.[1] ?? -1)
    if (number < 0) return
    this.#entries.push(number)
    const [, kind, rest = ''] = known.exec(line) ?? []
    if (kind === undefined) return
    const text = Buffer.from(rest, 'latin1').toString()
    if (kind === 'TABLE DATA') this.#tables++
    else if (kind === 'USER MAPPING') this.#mappings.set(number, mappingOf(text))
    else if (kind === 'FK CONSTRAINT') this.#takeForeignKey(number, text)
    else if (kind === 'COMMENT') this.#takeComment(number, text)
    else if (kind === 'FOREIGN TABLE') this.#foreign.add(number)
    else this.#needs.set(number, [])
    if (kind === 'MATERIALIZED VIEW DATA') this.#fillings.set(number, nameOf(text))
  }

  /** `public orders orders_user_fkey alice` */
  #takeForeignKey(number: number, text: string): void {
    const found = this.#unwanted.find(({ schema, table, name }) => text.startsWith(`${schema} ${table} ${name} `))
    if (found) this.#foreignKeys.set(number, found)
  }

  /** `public CONSTRAINT orders_user_fkey ON orders alice`, with quotes where SQL wants them. */
  #takeComment(number: number, text: string): void {
    const plain = text.replaceAll('"', '')
    const isOf = ({ schema, table, name }: ForeignKey): boolean =>
      plain.startsWith(`${schema} CONSTRAINT ${name} ON ${table} `.replaceAll('"', ''))
    if (this.#unwanted.some(isOf)) this.#comments.add(number)
  }

  /** Of the entry above. */
  #noteNeeds(numbers: readonly number[]): void {
    const last = this.#entries.at(-1)
    if (last !== undefined && this.#needs.has(last)) this.#needs.set(last, numbers)
  }

  #reachesForeign(number: number): boolean {
    const seen = new Set([number])
    for (const one of seen) {
      if (this.#foreign.has(one)) return true
      for (const next of this.#needs.get(one) ?? []) seen.add(next)
    }
    return false
  }
}

/** `- USER MAPPING bob SERVER production alice`: the last is the owner. */
function mappingOf(text: string): string {
  const [, user, server] = /^- USER MAPPING (.*) SERVER (.*) \S*$/.exec(text) ?? []
  return user === undefined ? 'a user mapping' : `user mapping of ${user} for ${server}`
}

/** `public totals alice` */
function nameOf(text: string): string {
  return text.split(' ').slice(0, -1).join('.')
}
