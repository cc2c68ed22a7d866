import { ProvisionError } from '@dblab/provision'
import { notADump } from './dump-kind.ts'
import type { SqlFacts } from './sql-facts.ts'
import type { ScriptEnd } from './sql-scanner.ts'

/** What a script that pg_dump or a person wrote may begin with. */
const openings =
  /^(ALTER|BEGIN|COMMENT|COPY|CREATE|DELETE|DO|DROP|GRANT|INSERT|LOCK|RESET|REVOKE|SECURITY|SELECT|SET|START|TRUNCATE|UPDATE|WITH)\b/

/**
 * A script that can be restored into one database of a fresh cluster.
 *
 * @throws ProvisionError INVALID, saying what it is instead
 */
export function checkScript(path: string, facts: SqlFacts, end: ScriptEnd): void {
  if (facts.firstStatement === undefined || !openings.test(facts.firstStatement)) {
    throw notADump(
      path,
      facts.firstStatement === undefined ? 'it holds no statement' : 'it does not begin with a statement',
    )
  }
  checkWhole(path, facts, end)
  checkOneDatabase(path, facts)
}

/** psql takes the end of its input for the end of COPY data, so half a dump would restore without an error. */
function checkWhole(path: string, facts: SqlFacts, end: ScriptEnd): void {
  const { isDump, complete } = facts.comments
  if (end === 'complete' && (!isDump || complete)) return
  const where = end === 'complete' ? 'it does not end as pg_dump ends a dump' : `it ends ${end}`
  throw new ProvisionError('INVALID', `the dump ${path} is cut short: ${where}`, {
    hint: 'Check that pg_dump succeeded and that the file was copied whole.',
  })
}

function checkOneDatabase(path: string, facts: SqlFacts): void {
  const names = new Set([...facts.createdDatabases, ...facts.connections])
  if (facts.comments.isClusterDump || names.size > 1) {
    throw new ProvisionError('INVALID', `${path} is a dump of several databases, by pg_dumpall; the lab restores one`, {
      hint: 'Dump the one that is wanted: pg_dump --format=custom --file=NAME DATABASE.',
    })
  }
  const [dropped] = facts.droppedDatabases
  const [created] = facts.createdDatabases
  if (dropped === undefined && (created === undefined || !isSystemDatabase(created))) return
  const what = dropped === undefined ? `makes the database ${created}` : `drops the database ${dropped}`
  throw new ProvisionError('INVALID', `${path} ${what}, which can't be done in a fresh cluster`, {
    hint: 'Make the dump without --create (and --clean), or in the custom format.',
  })
}

function isSystemDatabase(name: string): boolean {
  return name === 'postgres' || name === 'template0' || name === 'template1'
}
