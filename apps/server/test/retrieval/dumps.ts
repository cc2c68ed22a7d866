import { chmod, chown } from 'node:fs/promises'
import { join } from 'node:path'
import { createImportRole, IMPORT_ROLE, LAB_DATABASE, run, withLabConnection } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { type Cluster, openDirectory } from './cluster.ts'

/** A name that has to be quoted wherever it is written. */
export const oddDatabase = `o'Shop "ü" a=b`

const password = 'only-of-a-test'

const schema = [
  'SET search_path TO public',
  'CREATE ROLE "Al ice"',
  'CREATE ROLE bob',
  'CREATE ROLE carol',
  'CREATE EXTENSION citext',
  'CREATE EXTENSION postgres_fdw',
  'CREATE SCHEMA "Sales" AUTHORIZATION bob',
  'CREATE TABLE "Sales"."or der" (id int PRIMARY KEY, name citext, note text)',
  `INSERT INTO "Sales"."or der" SELECT i, 'n' || i, E'line\\nbreak \\\\. and $$ ; \\' "q"' FROM generate_series(1, 2000) i`,
  'CREATE TABLE item (id int PRIMARY KEY, order_id int REFERENCES "Sales"."or der")',
  'INSERT INTO item SELECT i, 1 + i % 2000 FROM generate_series(1, 5000) i',
  'ALTER TABLE item OWNER TO "Al ice"',
  'GRANT SELECT ON item TO bob',
  'GRANT UPDATE (order_id) ON item TO carol',
  'ALTER DEFAULT PRIVILEGES FOR ROLE bob IN SCHEMA "Sales" GRANT SELECT ON TABLES TO "Al ice"',
  'CREATE POLICY mine ON item TO carol USING (true)',
  `CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN RETURN 'GRANT ALL ON item TO nobody_such; COPY x FROM stdin;'; END $f$`,
  `CREATE SERVER production FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'db.example.com')`,
  `CREATE USER MAPPING FOR bob SERVER production OPTIONS (user 'app', password 'of production')`,
  `CREATE SUBSCRIPTION follow CONNECTION 'host=db.example.com' PUBLICATION p WITH (connect = false)`,
]

/** Fills a database with what dumps are made of, and lets pg_dump in. */
export async function fillSource(cluster: Cluster): Promise<void> {
  await createImportRole(cluster.instance, password)
  await withLabConnection(cluster.instance, LAB_DATABASE, async (client) => {
    const name = client.escapeIdentifier(oddDatabase)
    await client.query(`CREATE DATABASE ${name} TEMPLATE template0`)
  })
  await withLabConnection(
    cluster.instance,
    oddDatabase,
    async (client) => {
      for (const statement of schema) await client.query(statement)
      const name = client.escapeIdentifier(oddDatabase)
      await client.query(`ALTER DATABASE ${name} SET search_path TO "Sales", public`)
      await client.query(`ALTER ROLE bob IN DATABASE ${name} SET work_mem TO '8MB'`)
    },
    { role: IMPORT_ROLE },
  )
}

/** Runs pg_dump on a database of the cluster; the file is readable by every account. */
export async function dump(
  pgDump: string,
  cluster: Cluster,
  database: string,
  args: readonly string[],
): Promise<string> {
  const directory = await openDirectory()
  const path = join(directory, 'dump')
  // An empty user name in the text would be the caller's own.
  const connection = `host=127.0.0.1 port=${cluster.instance.port} user=${IMPORT_ROLE} dbname='${database.replaceAll(/[\\']/g, '\\$&')}'`
  await run([pgDump, ...args, `--file=${path}`, `--dbname=${connection}`], { env: { PGPASSWORD: password } })
  if (!args.includes('--format=directory')) await chmod(path, 0o644)
  else await run(['chmod', '-R', 'a+rX', path])
  return path
}

/** A file of the test's own that the account can read. */
export async function giveTo(cluster: Cluster, path: string): Promise<void> {
  if (isRoot) await chown(path, cluster.account.uid, cluster.account.gid)
}
