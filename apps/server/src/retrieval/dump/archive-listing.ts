/** What `pg_restore --list` says of an archive's contents. */
export interface ArchiveListing {
  /** Tables that bring data. */
  tables: number
  /** Every entry of the table of contents. */
  entries: number
}

/** What is decided on stands at a line's beginning; names may be as long as whoever made the archive liked. */
const lineLimit = 200

/**
 * Reads the output of `pg_restore --list`, piece by piece. A line is `215; 1259 16408 TABLE DATA public orders alice`; names are written without
 * quotes, so that only what stands before them can be told apart. https://www.postgresql.org/docs/current/app-pgrestore.html
 */
export class ArchiveListingReader {
  readonly listing: ArchiveListing = { tables: 0, entries: 0 }
  #rest = ''

  push(chunk: Buffer): void {
    const lines = (this.#rest + chunk.toString('latin1')).split('\n')
    this.#rest = lines.pop()?.slice(0, lineLimit) ?? ''
    for (const line of lines) {
      if (/^\d+; \d+ \d+ \S/.test(line)) this.listing.entries++
      if (/^\d+; \d+ \d+ TABLE DATA /.test(line)) this.listing.tables++
    }
  }
}
