import { ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import type { ForeignKey } from '../dump/archive-listing.ts'
import { type Chosen, OWN, USER_SCHEMAS } from './patterns.ts'
import { isWhole, namesSome, type Selection } from './selection.ts'

const inDump = (name: string, condition: string): string => `
  ${name} AS (SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ${USER_SCHEMAS} AND ${OWN} AND ${condition})`

/**
 * Foreign keys that would not hold in what is chosen: to a table that does not come, or that comes without its rows. A table with
 * partitions has the rows of those. No table is locked for it.
 */
export async function foreignKeysLeftOut(
  client: Client,
  selection: Selection,
  { dumped, withRows }: Chosen,
): Promise<ForeignKey[]> {
  if (isWhole(selection)) return []
  const { rows } = await client.query<ForeignKey>(
    `WITH RECURSIVE ${inDump('dumped', dumped.sql)}, ${inDump('filled', withRows.sql)},
     foreign_key AS (SELECT * FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND conrelid IN (SELECT oid FROM dumped)),
     tree AS (SELECT unnest(ARRAY[conrelid, confrelid]) AS rel, unnest(ARRAY[conrelid, confrelid]) AS relid FROM foreign_key
       UNION SELECT tree.rel, i.inhrelid FROM tree JOIN pg_class p ON p.oid = tree.relid AND p.relkind = 'p' JOIN pg_inherits i ON i.inhparent = p.oid),
     leaf AS (SELECT tree.* FROM tree JOIN pg_class c ON c.oid = tree.relid AND c.relkind = 'r')
     SELECT n.nspname AS schema, t.relname AS table, k.conname AS name
     FROM foreign_key k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
     JOIN pg_class c ON c.oid = k.confrelid
     WHERE ${OWN}
       AND (k.confrelid NOT IN (SELECT oid FROM dumped)
         -- One that is not valid is not looked at in the rows that there are.
         OR k.convalidated AND EXISTS (SELECT FROM leaf JOIN filled f ON f.oid = leaf.relid WHERE leaf.rel = k.conrelid)
           AND EXISTS (SELECT FROM leaf WHERE leaf.rel = k.confrelid AND leaf.relid NOT IN (SELECT oid FROM filled)))
     ORDER BY 1, 2, 3`,
    withRows.values,
  )
  return rows
}

/**
 * The extensions that come along: all, but where something is named those alone whose schema is there, and the schemas of those that they require.
 *
 * @throws ProvisionError INVALID for one whose schema is left out
 */
export async function extensionsChosen(
  client: Client,
  database: string,
  selection: Selection,
  { schema }: Chosen,
): Promise<string[]> {
  const { rows } = await client.query<{ name: string; home: string; fits: boolean; requires: string[] }>(
    `SELECT e.extname AS name, n.nspname AS home, n.nspname IN ('public', 'pg_catalog') OR ${schema.sql} AS fits,
       ARRAY(SELECT r.extname::text FROM pg_depend d JOIN pg_extension r ON r.oid = d.refobjid
         WHERE d.classid = 'pg_extension'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_extension'::regclass) AS requires
     FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY 1`,
    schema.values,
  )
  const without = rows.find(({ fits }) => !fits)
  if (without && !namesSome(selection)) {
    throw new ProvisionError(
      'INVALID',
      `the extension ${without.name} of ${JSON.stringify(database)} needs the schema ${without.home}, which is left out`,
      { hint: `Take ${without.home} out of excludeSchemas.` },
    )
  }
  const missing = new Set(rows.filter(({ fits }) => !fits).map(({ name }) => name))
  // What one that is missing is required for is missing itself, and so on.
  for (const gone of missing) {
    for (const { name, requires } of rows) if (requires.includes(gone)) missing.add(name)
  }
  return rows.map(({ name }) => name).filter((name) => !missing.has(name))
}

/** Schemas that have to be made before what is chosen is restored: pg_dump brings none along with tables that are named. */
export async function schemasToMake(client: Client, selection: Selection, { dumped }: Chosen): Promise<string[]> {
  if (selection.tables.length === 0) return []
  const { rows } = await client.query<{ name: string }>(
    `WITH ${inDump('dumped', dumped.sql)} SELECT DISTINCT nspname AS name FROM dumped WHERE nspname <> 'public' ORDER BY 1`,
    dumped.values,
  )
  return rows.map(({ name }) => name)
}
