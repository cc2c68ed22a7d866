import { type Instance, LAB_DATABASE, withLabConnection } from '@dblab/provision'
import type { Client } from 'pg'

interface CustomSettings {
  /** Of ALTER. */
  target: string
  names: string[]
}

/** Names of the server's own have no dot. https://www.postgresql.org/docs/current/runtime-config-custom.html */
const CUSTOM = `
  SELECT CASE WHEN s.setrole = 0 AND s.setdatabase = 0 THEN 'ROLE ALL'
      WHEN s.setrole = 0 THEN format('DATABASE %I', d.datname)
      WHEN s.setdatabase = 0 THEN format('ROLE %I', r.rolname)
      ELSE format('ROLE %I IN DATABASE %I', r.rolname, d.datname) END AS target,
    array_agg(split_part(setting, '=', 1) ORDER BY 1) AS names
  FROM pg_db_role_setting s
    LEFT JOIN pg_database d ON d.oid = s.setdatabase
    LEFT JOIN pg_roles r ON r.oid = s.setrole
    CROSS JOIN unnest(s.setconfig) setting
  WHERE split_part(setting, '=', 1) LIKE '%.%'
  GROUP BY s.setrole, s.setdatabase, r.rolname, d.datname ORDER BY 1`

/**
 * Takes the settings with a dot in their names off databases and roles. Applications keep keys and tokens in them, and every session can SHOW its own
 * and read all others' in pg_db_role_setting. Returns which, for people, without the values.
 */
export async function resetCustomSettings(instance: Instance): Promise<string[]> {
  return withLabConnection(instance, LAB_DATABASE, async (client) => {
    const { rows } = await client.query<CustomSettings>(CUSTOM)
    for (const { target, names } of rows) {
      for (const name of names) await client.query(`ALTER ${target} RESET ${quoted(client, name)}`)
    }
    return rows.map(({ target, names }) => `settings of ${target} that were reset: ${names.join(', ')}`)
  })
}

function quoted(client: Client, name: string): string {
  return name
    .split('.')
    .map((part) => client.escapeIdentifier(part))
    .join('.')
}
