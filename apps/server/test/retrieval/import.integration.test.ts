import { chmod, chown, copyFile, mkdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OWNER_ROLE, prepareBase, withLabConnection } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { importDump } from '../../src/retrieval/dump/import.ts'
import type { RestoreStep } from '../../src/retrieval/dump/restore-progress.ts'
import { copiedRows } from '../support/dump-rows.ts'
import { pagilaFile, pagilaMissing } from '../support/pagila.ts'
import { bringIn, lacking, planOf, toolOf, tools } from './bring-in.ts'
import { binariesUnderTest, type Cluster, startCluster } from './cluster.ts'
import { dump, fillSource, oddDatabase } from './dumps.ts'

const foreignFiles = `
CREATE EXTENSION file_fdw;
CREATE SERVER host FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE "Pass wd" (name text, password text) SERVER host OPTIONS (filename '/etc/passwd', format 'csv', delimiter ':');
CREATE VIEW accounts AS SELECT name FROM "Pass wd";
CREATE FOREIGN TABLE rows (name text) SERVER host OPTIONS (filename '/nowhere', format 'binary');
CREATE FOREIGN TABLE who (line text) SERVER host OPTIONS (program 'id');
`

const watched = `
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER loud ON ddl_command_end EXECUTE FUNCTION on_ddl();
CREATE EVENT TRIGGER quiet ON sql_drop EXECUTE FUNCTION on_ddl();
ALTER EVENT TRIGGER quiet DISABLE;
`

const installations = await binariesUnderTest()

describe.skipIf(lacking !== '').each(installations)(
  `an import into PostgreSQL $version ($source)${lacking}`,
  (binaries) => {
    const absent = pagilaMissing === undefined ? '' : ` (skipped: ${pagilaMissing})`
    test.skipIf(absent !== '')(`brings every row of Pagila${absent}`, async () => {
      await using cluster = await startCluster(binaries)
      const seen: RestoreStep[] = []
      const result = await bringIn(cluster, pagilaFile, (progress) => seen.push(progress))
      expect(result).toMatchObject({ database: 'pagila', tables: 22 })
      const counts = new Map<string, number>()
      const expected = await copiedRows(pagilaFile)
      for (const table of expected.keys()) {
        const [row] = await cluster.query<{ n: number }>('pagila', `SELECT count(*)::int AS n FROM ONLY ${table}`)
        counts.set(table, row?.n ?? -1)
      }
      expect(counts).toEqual(expected)
      expect(counts.size).toBe(21)
      expect(seen.findLast(({ step }) => step === 'restore')).toMatchObject({
        doneBytes: 3_082_585,
        totalBytes: 3_082_585,
      })
      const [statistics] = await cluster.query(
        'pagila',
        `SELECT 1 AS there FROM pg_stats WHERE tablename = 'film' LIMIT 1`,
      )
      expect(statistics).toEqual({ there: 1 })
    })

    test('switches event triggers off, and says which', async () => {
      await using cluster = await startCluster(binaries)
      const path = join(cluster.directory, 'watched.sql')
      await writeFile(path, watched)
      const { database, notes } = await bringIn(cluster, path)
      expect(notes).toEqual(['event triggers switched off: loud'])
      await prepareBase(cluster.instance, { database })
      const on = await cluster.query(database, `SELECT evtname FROM pg_event_trigger WHERE evtenabled <> 'D'`)
      expect(on).toEqual([])
    })

    test("leaves nothing to read in the host's files and programs, and what stands on it as it is", async () => {
      await using cluster = await startCluster(binaries)
      const path = join(cluster.directory, 'files.sql')
      await writeFile(path, foreignFiles)
      const { database, notes } = await bringIn(cluster, path)
      expect(notes).toEqual([
        'removed: the file behind the foreign table public."Pass wd", which is empty now',
        'removed: the file behind the foreign table public.rows, which is empty now',
        'removed: the program behind the foreign table public.who, which is empty now',
      ])
      const seen = await cluster.query(
        database,
        `SELECT (SELECT count(*)::int FROM public."Pass wd") AS file, (SELECT count(*)::int FROM public.rows) AS rows,
         (SELECT count(*)::int FROM public.accounts) AS accounts, (SELECT count(*)::int FROM public.who) AS program`,
      )
      expect(seen).toEqual([{ file: 0, rows: 0, accounts: 0, program: 0 }])
      await prepareBase(cluster.instance, { database })
      const asOwner = (sql: string) =>
        withLabConnection(cluster.instance, database, (client) => client.query(sql), { role: OWNER_ROLE })
      for (const options of [`SET filename '/etc/passwd'`, `DROP filename, ADD program 'id'`, 'DROP format']) {
        await expect(asOwner(`ALTER FOREIGN TABLE public."Pass wd" OPTIONS (${options})`)).rejects.toMatchObject({
          cause: { code: '42501' },
        })
      }
    })

    // What a dump's own commands put there, root would meet as it removes the directory.
    test.skipIf(!isRoot)('gives the commands of a dump no directory that root removes (root only)', async () => {
      await using cluster = await startCluster(binaries)
      const path = join(cluster.directory, 'command.sql')
      const said = join(cluster.directory, 'said')
      await writeFile(said, '', { mode: 0o666 })
      await chmod(said, 0o666)
      await chmod(cluster.directory, 0o711)
      await writeFile(
        path,
        `\\! head -c 4 "$PGPASSFILE" > ${said}; mkdir "$(dirname "$PGPASSFILE")/mine" && echo made it >> ${said}\nCREATE TABLE t ();\n`,
      )
      await bringIn(cluster, path)
      expect(await readFile(said, 'utf8')).toBe('*:*:')
    })

    test('of a tablespace is refused a place among what clones are made of', async () => {
      await using cluster = await startCluster(binaries)
      const elsewhere = join(cluster.directory, 'elsewhere')
      await mkdir(elsewhere)
      if (isRoot) await chown(elsewhere, cluster.account.uid, cluster.account.gid)
      const path = join(cluster.directory, 'tablespace.sql')
      await writeFile(
        path,
        `CREATE TABLESPACE shared LOCATION '${elsewhere}';\nCREATE TABLE t TABLESPACE shared AS SELECT 1 AS n;\n`,
      )
      const { database } = await bringIn(cluster, path)
      await expect(prepareBase(cluster.instance, { database })).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining('"shared"'),
        hint: expect.stringContaining('CREATE TABLESPACE'),
      })
    })

    describe('of what pg_dump makes', () => {
      const made: Record<string, string> = {}
      let source: Cluster
      beforeAll(async () => {
        const [system] = installations.filter(({ major }) => major <= (tools.pg_dump?.major ?? 0))
        if (!system) return
        source = await startCluster(system)
        await fillSource(source)
        const kinds: Record<string, readonly string[]> = {
          custom: ['--format=custom'],
          directory: ['--format=directory', '--jobs=2'],
          tar: ['--format=tar'],
          plain: ['--format=plain', '--verbose'],
          'plain that makes its database': ['--format=plain', '--create'],
          'plain of INSERTs': ['--format=plain', '--inserts', '--clean', '--if-exists'],
        }
        for (const [kind, args] of Object.entries(kinds)) {
          made[kind] = await dump(tools.pg_dump?.path ?? '', source, oddDatabase, args)
        }
      })
      afterAll(async () => {
        await source?.[Symbol.asyncDispose]()
        for (const path of Object.values(made)) await rm(join(path, '..'), { recursive: true, force: true })
      })

      test.each([
        ['custom', oddDatabase],
        ['directory', oddDatabase],
        ['tar', oddDatabase],
        ['plain', 'dump'],
        ['plain that makes its database', oddDatabase],
        ['plain of INSERTs', 'dump'],
      ])('keeps rows, owners and grants: %s', async (kind, database) => {
        await using cluster = await startCluster(binaries)
        const result = await bringIn(cluster, made[kind] ?? '')
        expect(result).toMatchObject({ database, tables: 2 })
        expect(result.notes).toContain('roles made without login: Al ice, bob, carol')
        expect(Math.abs(result.dataStateAt.getTime() - Date.now())).toBeLessThan(120_000)
        const [rows] = await cluster.query(
          database,
          `SELECT (SELECT count(*)::int FROM "Sales"."or der") AS orders, (SELECT count(*)::int FROM public.item) AS items,
         (SELECT note FROM "Sales"."or der" WHERE id = 7) AS note`,
        )
        expect(rows).toEqual({ orders: 2000, items: 5000, note: `line\nbreak \\. and $$ ; ' "q"` })
        const [rights] = await cluster.query(
          database,
          `SELECT relowner::regrole::text AS owner, has_table_privilege('bob', oid, 'SELECT') AS bob,
         has_column_privilege('carol', oid, 'order_id', 'UPDATE') AS carol FROM pg_class WHERE relname = 'item'`,
        )
        expect(rights).toEqual({ owner: '"Al ice"', bob: true, carol: true })
        const logins = await cluster.query(
          'postgres',
          `SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname <> 'dblab'`,
        )
        expect(logins).toEqual([])
      })

      test('can be made a base of, after which the import role is gone', async () => {
        await using cluster = await startCluster(binaries)
        const { database } = await bringIn(cluster, made.custom ?? '')
        await prepareBase(cluster.instance, { database })
        const roles = await cluster.query('postgres', `SELECT 1 FROM pg_roles WHERE rolname = 'dblab_import'`)
        expect(roles).toEqual([])
      })

      // What follows does not hang on the version of the server.
      if (binaries !== installations[0]) return

      test.each(['custom', 'plain that makes its database'])('keeps the settings of the database: %s', async (kind) => {
        await using cluster = await startCluster(binaries)
        await bringIn(cluster, made[kind] ?? '')
        const settings = await cluster.query<{ role: string; setconfig: string[] }>(
          oddDatabase,
          `SELECT setrole::regrole::text AS role, setconfig FROM pg_db_role_setting ORDER BY 1`,
        )
        expect(settings).toEqual([
          { role: '-', setconfig: ['search_path="Sales", public'] },
          { role: 'bob', setconfig: ['work_mem=8MB'] },
        ])
      })

      test('takes the locale of the cluster where the machine lacks that of the dump, and says so', async () => {
        await using cluster = await startCluster(binaries)
        const plan = await planOf(cluster, made.custom ?? '')
        plan.facts.createDatabase = plan.facts.createDatabase?.replace(/LOCALE = '[^']*'/, `LOCALE = 'xx_YY.utf8'`)
        const { notes } = await importDump(plan, cluster.instance, toolOf(cluster))
        expect(notes).toContainEqual(expect.stringMatching(/this cluster's own locale.*xx_YY/))
      })

      test.each(['custom', 'plain'])('leaves no link to another server: %s', async (kind) => {
        await using cluster = await startCluster(binaries)
        const result = await bringIn(cluster, made[kind] ?? '')
        expect(result.notes).toContain('removed: user mapping of bob for production')
        const links = await cluster.query(
          result.database,
          'SELECT subname::text FROM pg_subscription UNION ALL SELECT srvname FROM pg_user_mappings',
        )
        expect(links).toEqual([])
      })

      test.each(['custom', 'tar', 'plain'])('reads for the account a file that it may not read: %s', async (kind) => {
        await using cluster = await startCluster(binaries)
        const path = join(cluster.directory, 'closed')
        await copyFile(made[kind] ?? '', path)
        await chmod(path, 0o600)
        const plan = await planOf(cluster, path)
        if (isRoot) expect(plan.readable).toBe(false)
        await expect(importDump(plan, cluster.instance, toolOf(cluster))).resolves.toMatchObject({
          tables: 2,
        })
      })

      test('counts the tables that are done', async () => {
        await using cluster = await startCluster(binaries)
        const seen: RestoreStep[] = []
        await bringIn(cluster, made.tar ?? '', (progress) => seen.push(progress))
        const restore = seen.filter(({ step }) => step === 'restore')
        expect(restore[0]).toEqual({ step: 'restore', doneTables: 0, totalTables: 2 })
        expect(restore.at(-1)).toEqual({ step: 'restore', doneTables: 2, totalTables: 2 })
        expect(seen.at(-1)?.step).toBe('finish')
      })

      test('fails on an archive whose data are cut short', async () => {
        await using cluster = await startCluster(binaries)
        const path = join(cluster.directory, 'cut')
        await copyFile(made.custom ?? '', path)
        const plan = await planOf(cluster, path)
        await truncate(path, plan.sizeBytes - 15_000)
        await utimes(path, plan.modifiedAt, plan.modifiedAt)
        await expect(bringIn(cluster, path)).rejects.toMatchObject({
          code: 'FAILED',
          message: expect.stringMatching(/could not read from input file|end of file/),
        })
      })

      test('leaves no password in the log of the server', async () => {
        await using cluster = await startCluster(binaries)
        await cluster.query('postgres', `ALTER SYSTEM SET log_statement TO 'all'`)
        await cluster.query('postgres', 'SELECT pg_reload_conf()')
        await bringIn(cluster, made.plain ?? '')
        expect(await cluster.log()).toMatch(/CREATE TABLE/)
        expect(await cluster.log()).not.toMatch(/dblab_import.*password '(?!SCRAM)/i)
      })
    })
  },
)
