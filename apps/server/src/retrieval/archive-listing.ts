/** What `pg_restore --list` says of an archive's contents. */
export interface ArchiveListing {
  /** Tables that bring data. */
  tables: number
  /** Every entry of the table of contents. */
  entries: number
}

/**
 * Reads the output of `pg_restore --list`. A line is `215; 1259 16408 TABLE DATA public orders alice`; names are written without quotes, so that
 * only what stands before them can be told apart. https://www.postgresql.org/docs/current/app-pgrestore.html
 */
export function parseArchiveListing(output: string): ArchiveListing {
  const entries = output.split('\n').filter((line) => /^\d+; \d+ \d+ \S/.test(line))
  return { entries: entries.length, tables: entries.filter((line) => /^\d+; \d+ \d+ TABLE DATA /.test(line)).length }
}
