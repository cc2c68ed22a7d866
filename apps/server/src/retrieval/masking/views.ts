import { FIRST_OWN_OID, type Instance } from '@dblab/provision'
import { type Client, DatabaseError } from 'pg'
import { maskingFailure } from './failure.ts'
import { maskingSession } from './session.ts'

/**
 * Has every materialized view of a database hold what its query gives now, under the database's own search_path, which the queries may need.
 * Each runs with its owner's rights. Those that hold nothing are left so.
 *
 * @returns whether there were any
 * @throws ProvisionError FAILED naming the view
 */
export async function refreshViews(instance: Instance, database: string, signal: AbortSignal): Promise<boolean> {
  const views = await maskingSession(instance, database, populatedViews, { signal })
  if (views.length === 0) return false
  await maskingSession(instance, database, (client) => refresh(client, views), { signal, dataSession: true })
  return true
}

/** Not under the data's search_path, in which an operator of somebody's may come before Postgres' own. */
async function populatedViews(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ sql: string }>(
    `select format('%I.%I', n.nspname, c.relname) as sql from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'm' and c.relispopulated order by c.oid`,
  )
  return rows.map(({ sql }) => sql)
}

/** object_not_in_prerequisite_state: a materialized view that is read has no data yet. */
const NOT_READY = '55000'

/**
 * All are emptied first: what one reads of another, be it through a function that no catalogue tells of, is then either new or an error, and
 * after that error it is tried again once others have their data.
 */
async function refresh(client: Client, views: readonly string[]): Promise<void> {
  for (const view of views) await client.query(`refresh materialized view ${view} with no data`)
  let waiting = views
  while (waiting.length > 0) {
    const before = waiting
    const still: string[] = []
    for (const view of before) {
      const problem = await tryRefresh(client, view)
      if (problem) still.push(view)
      if (problem && still.length === before.length) throw failure(view, problem)
    }
    waiting = still
  }
}

async function tryRefresh(client: Client, view: string): Promise<DatabaseError | undefined> {
  try {
    await client.query(`refresh materialized view ${view}`)
    return undefined
  } catch (error) {
    if (error instanceof DatabaseError && error.code === NOT_READY) return error
    throw failure(view, error)
  }
}

function failure(view: string, error: unknown): unknown {
  return maskingFailure(`refreshing the materialized view ${view}`, error, 'Drop it in a masking file, or mend it.')
}

/**
 * Materialized views whose rows may come from elsewhere than the tables that are looked at: foreign tables, the system's own (statistics are
 * made of values), functions of the data, and Postgres' own that reach further than their arguments. By the query tree, since pg_depend leaves
 * out what came with the cluster. https://www.postgresql.org/docs/current/catalog-pg-rewrite.html
 */
export async function opaqueViews(client: Client): Promise<Set<number>> {
  const { rows } = await client.query<{ oid: number }>(
    `with recursive reads as (
       select oid as view, oid as relation from pg_class where relkind = 'm' and relispopulated
       union
       select view, found[1]::oid from reads
       join pg_rewrite on ev_class = relation
       cross join lateral regexp_matches(ev_action::text, ':relid ([0-9]+)', 'g') found
       where relation >= ${FIRST_OWN_OID}
     )
     select distinct view as oid from reads left join pg_class c on c.oid = relation
     where relation <> 0 and (relation < ${FIRST_OWN_OID} or c.relkind not in ('r', 'p', 'v', 'm') or exists (
       select from pg_rewrite
       cross join lateral regexp_matches(ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+)', 'g') found
       join pg_proc p on p.oid = found[1]::oid
       where ev_class = relation and c.relkind in ('v', 'm')
         and (p.oid >= ${FIRST_OWN_OID} or p.provolatile = 'v' or p.proname ~ '_to_xml|^lo_|^lo(read|write)$|^pg_(read|ls|stat)_')
     ))`,
  )
  return new Set(rows.map(({ oid }) => oid))
}
