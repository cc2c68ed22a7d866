import { type ClientTool, findAllClientTools, ProvisionError } from '@dblab/provision'

/** What dumps a source, and what restores the dump: of one version, so that the one knows what the other writes. */
export interface DumpTools {
  pgDump: ClientTool
  pgRestore: ClientTool
}

/** The first whose libpq takes every parameter of `connectionText`: https://www.postgresql.org/docs/12/release-12.html */
const OLDEST_MAJOR = 12

/**
 * pg_dump reads servers of its own version and older ones, and sets parameters that an older server than it does not know: so the oldest that is
 * new enough is taken. https://www.postgresql.org/docs/current/app-pgdump.html#PG-DUMP-NOTES
 *
 * @throws ProvisionError UNAVAILABLE, naming the package that brings it
 */
export async function needDumpTools(serverMajor: number): Promise<DumpTools> {
  const [dumps, restores] = [await findAllClientTools('pg_dump'), await findAllClientTools('pg_restore')]
  const oldest = Math.max(serverMajor, OLDEST_MAJOR)
  for (const pgDump of dumps.toSorted((a, b) => a.major - b.major)) {
    const pgRestore = restores.find(({ major }) => major === pgDump.major)
    if (pgDump.major >= oldest && pgRestore) return { pgDump, pgRestore }
  }
  const here = dumps.length === 0 ? 'there is none' : `here is ${dumps.map(({ version }) => version).join(', ')}`
  throw new ProvisionError(
    'UNAVAILABLE',
    `a source of PostgreSQL ${serverMajor} is read with pg_dump ${oldest} or later, and on this machine ${here}`,
    {
      hint: `Install the package postgresql-client-${oldest} (apt.postgresql.org has it where the distribution does not); on macOS postgresql@${oldest} from Homebrew.`,
    },
  )
}
