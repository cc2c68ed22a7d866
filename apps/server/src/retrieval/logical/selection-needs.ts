import { ProvisionError } from '@dblab/provision'
import type { Client } from 'pg'
import type { ForeignKey } from '../dump/archive-listing.ts'
import { type Chosen, OWN, USER_SCHEMAS } from './patterns.ts'
import { isWhole, namesSome, type Selection } from './selection.ts'

/** How many are named in an error. */
const LISTED = 5

const inDump = (name: string, condition: string): string => `
  ${name} AS (SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ${USER_SCHEMAS} AND ${OWN} AND ${condition})`

/**
 * Foreign keys that would not hold in what is chosen: to a table that does not come, or that comes without its rows. A table with
 * partitions has the rows of those.
 */
export async function foreignKeysLeftOut(
  client: Client,
  selection: Selection,
  { dumped, withRows }: Chosen,
): Promise<ForeignKey[]> {
  if (isWhole(selection)) return []
  const { rows } = await client.query<ForeignKey>(
    `WITH ${inDump('dumped', dumped.sql)}, ${inDump('filled', withRows.sql)},
     leaf AS (SELECT oid AS rel, oid AS relid FROM pg_class WHERE relkind = 'r'
       UNION ALL SELECT c.oid, p.relid FROM pg_class c CROSS JOIN LATERAL pg_partition_tree(c.oid) p WHERE c.relkind = 'p' AND p.isleaf)
     SELECT n.nspname AS schema, t.relname AS table, k.conname AS name
     FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
     WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid IN (SELECT oid FROM dumped)
       AND (k.confrelid NOT IN (SELECT oid FROM dumped)
         OR EXISTS (SELECT FROM leaf JOIN filled f ON f.oid = leaf.relid WHERE leaf.rel = k.conrelid)
           AND EXISTS (SELECT FROM leaf WHERE leaf.rel = k.confrelid AND leaf.relid NOT IN (SELECT oid FROM filled)))
     ORDER BY 1, 2, 3`,
    withRows.values,
  )
  return rows
}

/**
 * The extensions that come along: all, but where something is named those alone whose schema is there.
 *
 * @throws ProvisionError INVALID for one whose schema is left out
 */
export async function extensionsChosen(
  client: Client,
  database: string,
  selection: Selection,
  { schema }: Chosen,
): Promise<string[]> {
  const { rows } = await client.query<{ name: string; home: string; fits: boolean }>(
    `SELECT e.extname AS name, n.nspname AS home, n.nspname IN ('public', 'pg_catalog') OR ${schema.sql} AS fits
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
  return rows.filter(({ fits }) => fits).map(({ name }) => name)
}

/**
 * Sees to it that what is chosen can be restored: that the tables, types, functions and servers come along that its tables, views, and functions
 * are declared with. Bodies of functions are text to Postgres, and are not looked into. Foreign keys are another matter: they can be left out.
 *
 * @param extensions that come along
 * @throws ProvisionError INVALID with their names
 */
export async function requireNeeds(
  client: Client,
  database: string,
  selection: Selection,
  { dumped, schema }: Chosen,
  extensions: readonly string[],
): Promise<void> {
  if (isWhole(selection)) return
  const { rows } = await client.query<{ what: string; needed: string }>(
    `WITH ${inDump('dumped', dumped.sql)},
     part AS (
       SELECT p.classid, p.objid, format('%I.%I', d.nspname, d.relname) AS what FROM dumped d JOIN (
         SELECT 'pg_class'::regclass AS classid, oid AS objid, oid AS rel FROM pg_class
         UNION ALL SELECT 'pg_class'::regclass, indexrelid, indrelid FROM pg_index
         UNION ALL SELECT 'pg_attrdef'::regclass, oid, adrelid FROM pg_attrdef
         UNION ALL SELECT 'pg_constraint'::regclass, oid, conrelid FROM pg_constraint WHERE contype <> 'f'
         UNION ALL SELECT 'pg_trigger'::regclass, oid, tgrelid FROM pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT 'pg_rewrite'::regclass, oid, ev_class FROM pg_rewrite
         UNION ALL SELECT 'pg_policy'::regclass, oid, polrelid FROM pg_policy) p ON p.rel = d.oid
       UNION ALL SELECT 'pg_proc'::regclass, f.oid, pg_describe_object('pg_proc'::regclass, f.oid, 0)
         FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace WHERE ${USER_SCHEMAS} AND ${schema.sql}),
     need AS (
       SELECT DISTINCT part.what, d.refclassid, d.refobjid FROM part JOIN pg_depend d ON d.classid = part.classid AND d.objid = part.objid
       WHERE d.deptype = 'n' AND d.refobjid >= 16384
         AND d.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass, 'pg_foreign_server'::regclass)
         AND NOT EXISTS (SELECT FROM pg_depend e JOIN pg_extension x ON x.oid = e.refobjid
           WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e' AND x.extname = ANY ($${dumped.values.length + 1}))),
     -- A table's rows are of a type of its own, of which there are arrays.
     named AS (
       SELECT need.*, CASE WHEN refclassid = 'pg_class'::regclass THEN refobjid
         ELSE (SELECT r.oid FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem
           JOIN pg_class r ON r.oid = coalesce(nullif(e.typrelid, 0), t.typrelid) AND r.relkind <> 'c'
           WHERE refclassid = 'pg_type'::regclass AND t.oid = refobjid) END AS rel
       FROM need)
     SELECT what, pg_describe_object(refclassid, refobjid, 0) AS needed FROM named
     WHERE CASE WHEN rel IS NOT NULL THEN rel NOT IN (SELECT oid FROM dumped) AND (SELECT relkind IN ('r', 'p', 'v', 'm', 'f', 'S') FROM pg_class WHERE oid = rel)
       WHEN refclassid = 'pg_foreign_server'::regclass THEN ${namesSome(selection)}
       ELSE NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = (pg_identify_object(refclassid, refobjid, 0)).schema AND ${schema.sql}) END
     ORDER BY 1, 2`,
    [...dumped.values, extensions],
  )
  if (rows.length === 0) return
  const names = rows.slice(0, LISTED).map(({ what, needed }) => `${what} needs the ${needed}`)
  const more = rows.length - names.length
  throw new ProvisionError(
    'INVALID',
    `what is chosen of ${JSON.stringify(database)} could not be restored alone: ${names.join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
    {
      hint: 'Choose what is needed as well, or leave out what needs it (excludeTables, which takes views too). Types and functions come with their schemas, and with no table that is named.',
    },
  )
}
