import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clone } from '@dblab/models'
import { type LabAddress, withLabConnection } from '@dblab/provision'
import pg from 'pg'
import { createClone, urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { binDirOf, type Major } from '../support/majors.ts'
import { pagilaFile } from '../support/pagila.ts'

export const MALLORY = { username: 'mallory', password: 'the password of mallory' }

/** What careless superusers have left in data: the import may do it all, and brings it along. */
const CARELESS = `
  CREATE ROLE mallory;
  GRANT pg_execute_server_program, pg_read_server_files, pg_write_server_files TO mallory WITH ADMIN OPTION;
  GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text), pg_catalog.pg_reload_conf() TO PUBLIC;
  GRANT CREATE ON SCHEMA pg_catalog TO PUBLIC;
  CREATE EXTENSION dblink SCHEMA public;
  CREATE EXTENSION postgres_fdw SCHEMA public;
  CREATE EXTENSION file_fdw SCHEMA public;
  GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw, file_fdw TO PUBLIC;
  CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
  GRANT USAGE ON FOREIGN SERVER files TO PUBLIC;
  CREATE FOREIGN TABLE public.passwd (line text) SERVER files OPTIONS (filename '/etc/passwd');
  CREATE FUNCTION public.as_root(command text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    AS $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', command); END $$;
  CREATE FUNCTION public.ops_load(text) RETURNS oid LANGUAGE internal STRICT AS 'be_lo_import';
  REVOKE ALL ON FUNCTION public.ops_load(text) FROM PUBLIC;
  CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN END';
  CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.on_ddl();
  ALTER EVENT TRIGGER watch ENABLE ALWAYS;
`

/** A clone with where it is, as the machine has it. */
export interface Place {
  clone: Clone
  /** With its user's password. */
  url: string
  lab: LabAddress
  dataDir: string
}

/** A lab on Pagila with careless additions, and two clones in it: the attacker's and a neighbour's. */
export interface Containment extends AsyncDisposable {
  lab: TestLab
  mallory: Place
  neighbour: Place
  /** A directory where everybody may write. */
  open: string
  make(fields: Record<string, unknown>, login?: { username: string; password: string }): Promise<Place>
}

export async function openContainment(major: Major): Promise<Containment> {
  await using undo = new AsyncDisposableStack()
  const binDir = binDirOf(major)
  if (binDir === undefined) throw new Error(`there is no PostgreSQL ${major.version} on this machine`)
  const config = { postgres: { version: major.version, binDir } }
  const lab = undo.use(await TestLab.make({ driver: 'copy', config }))
  const dump = join(lab.directory, 'pagila.sql')
  await writeFile(dump, `${await readFile(pagilaFile, 'utf8')}\nRESET ALL;\n${CARELESS}`)
  const open = join(lab.directory, 'open')
  await mkdir(open)
  await chmod(open, 0o777)
  await lab.start(['--import', dump])
  const make: Containment['make'] = async (fields, login = MALLORY) => {
    const clone = await createClone(lab, { db: login, ...fields })
    if (clone.status.code !== 'OK') throw new Error(clone.status.message)
    return { clone, url: urlOf(clone, login.password), ...(await whereIs(lab, clone)) }
  }
  const mallory = await make({ id: 'mallorys' })
  const neighbour = await make({ id: 'neighbours' }, { username: 'alice', password: 'the password of alice' })
  const kept = undo.move()
  return { lab, mallory, neighbour, open, make, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** Its instance's record in the lab's own state. The instance's port is not always the clone's, and another may be just ending. */
export async function whereIs(lab: TestLab, clone: Clone): Promise<{ lab: LabAddress; dataDir: string }> {
  using catalogue = new DatabaseSync(join(lab.directory, '.dblab/catalogue.db'), { readOnly: true })
  const row = catalogue.prepare('SELECT volume_id FROM clones WHERE id = ?').get(clone.id)
  const file = join(lab.directory, '.dblab/postgres/instances', String(row?.volume_id), 'record.json')
  const { port, socketDir, dataDir } = JSON.parse(await readFile(file, 'utf8'))
  return { lab: { socketDir, port }, dataDir }
}

/** One session; statements run one by one, so that those which may not be in a transaction can be tried. */
export async function session<T>(
  url: string,
  work: (query: (sql: string) => Promise<unknown[]>) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 20_000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(async (sql) => (await client.query(sql)).rows)
  } finally {
    await client.end()
  }
}

/** The same clone's other database, or another user's login. */
export function at(url: string, change: { database?: string; username?: string; password?: string }): string {
  const changed = new URL(url)
  if (change.database !== undefined) changed.pathname = `/${encodeURIComponent(change.database)}`
  if (change.username !== undefined) changed.username = encodeURIComponent(change.username)
  if (change.password !== undefined) changed.password = encodeURIComponent(change.password)
  return changed.href
}

/** What the lab itself would find, as its superuser. */
export async function asLab(place: Place, sql: string, database = 'pagila'): Promise<unknown[]> {
  return withLabConnection(place.lab, database, async (client) => (await client.query(sql)).rows, { dataSession: true })
}
