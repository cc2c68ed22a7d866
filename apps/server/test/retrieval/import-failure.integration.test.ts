import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { CommandError, run } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { importDump } from '../../src/retrieval/dump/import.ts'
import { bringIn, lacking, planOf, toolOf } from './bring-in.ts'
import { binariesUnderTest, type Cluster, startCluster } from './cluster.ts'
import { giveTo } from './dumps.ts'

const [binaries] = await binariesUnderTest()

function freshCluster(): Promise<Cluster> {
  if (!binaries) throw new Error('there is no PostgreSQL here')
  return startCluster(binaries)
}

describe.skipIf(!binaries || lacking !== '')(`an import that fails${lacking}`, () => {
  async function script(cluster: Cluster, text: string): Promise<string> {
    const path = join(cluster.directory, 'script.sql')
    await writeFile(path, text)
    return path
  }

  test('says where, and shows no row of the data', async () => {
    await using cluster = await freshCluster()
    const path = await script(
      cluster,
      'CREATE TABLE a (i int PRIMARY KEY, s text);\nCOPY a FROM stdin;\n1\tsecret-one\n1\tsecret-two\n\\.\nCREATE TABLE b ();\n',
    )
    const error = await bringIn(cluster, path).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(error).toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining(
        'line 5: duplicate key value violates unique constraint "a_pkey" (COPY a, line 2)',
      ),
    })
    expect(JSON.stringify(error) + String(error)).not.toMatch(/secret|\(i\)=/)
    const after = await cluster.query('script', `SELECT 1 FROM pg_class WHERE relname = 'b'`)
    expect(after).toEqual([])
    const logins = await cluster.query(
      'postgres',
      `SELECT 1 FROM pg_roles WHERE rolname = 'dblab_import' AND rolcanlogin`,
    )
    expect(logins).toEqual([])
  })

  test('stops at an error of an INSERT, and leaves its values out', async () => {
    await using cluster = await freshCluster()
    const path = await script(cluster, `CREATE TABLE a (s text NOT NULL, i int);\nINSERT INTO a VALUES (NULL, 4711);\n`)
    await expect(bringIn(cluster, path)).rejects.toSatisfy((error: Error) => !error.message.includes('4711'))
  })

  test('shows no row of the data where it fails after the restore', async () => {
    await using cluster = await freshCluster()
    const path = await script(
      cluster,
      `CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
         IF current_query() LIKE 'VACUUM%' THEN RAISE EXCEPTION 'address %', $1; END IF; RETURN $1; END $$;
       CREATE TABLE a (s text);\nINSERT INTO a VALUES ('1 Secret Street');\nCREATE INDEX ON a (f(s));\n`,
    )
    const error: unknown = await bringIn(cluster, path).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'FAILED', message: expect.stringContaining('SQLSTATE P0001') })
    expect(inspect(error, { depth: 10 })).not.toContain('Secret')
  })

  test('refuses extensions that are not installed before anything is made', async () => {
    await using cluster = await freshCluster()
    const path = await script(cluster, 'CREATE EXTENSION IF NOT EXISTS no_such_extension;\nCREATE TABLE a ();\n')
    await expect(bringIn(cluster, path)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('no_such_extension'),
    })
    expect(await cluster.query('postgres', `SELECT 1 FROM pg_database WHERE datname = 'script'`)).toEqual([])
  })

  test('says how the server that the lab runs gets the extensions that are missing', async () => {
    await using cluster = await freshCluster()
    const path = await script(cluster, 'CREATE EXTENSION no_such_extension;\n')
    const plan = await planOf(cluster, path)
    const tool = toolOf(cluster)
    await expect(importDump(plan, cluster.instance, { ...tool, embedded: false })).rejects.toMatchObject({
      hint: expect.stringMatching(/^Install them for the server that the lab runs/),
    })
    await expect(importDump(plan, cluster.instance, { ...tool, embedded: true })).rejects.toMatchObject({
      hint: expect.stringMatching(/can't be extended.*postgres\.binDir/),
    })
  })

  test('refuses parameters of a newer version before anything is made', async () => {
    await using cluster = await freshCluster()
    const path = await script(cluster, 'SET parameter_of_version_99 = 0;\nCREATE TABLE a ();\n')
    await expect(bringIn(cluster, path)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('parameter_of_version_99'),
    })
  })

  test('refuses a database that is there', async () => {
    await using cluster = await freshCluster()
    const path = await script(cluster, 'CREATE TABLE a ();\n')
    await bringIn(cluster, path)
    await expect(bringIn(cluster, path)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
  })

  test('refuses a file that has changed since it was inspected', async () => {
    await using cluster = await freshCluster()
    const path = await script(cluster, 'CREATE TABLE a ();\n')
    const plan = await planOf(cluster, path)
    await writeFile(path, 'CREATE TABLE a ();\nCREATE TABLE b ();\n')
    await expect(importDump(plan, cluster.instance, toolOf(cluster))).rejects.toMatchObject({
      code: 'INVALID',
    })
  })

  test('is stopped on request, with what psql has started', async () => {
    await using cluster = await freshCluster()
    const pidFile = join(cluster.directory, 'pid')
    await writeFile(pidFile, '')
    await giveTo(cluster, pidFile)
    const path = await script(cluster, `CREATE TABLE a ();\n\\! echo $$ > ${pidFile}; exec sleep 4242\n`)
    await stopWhen(cluster, path, async () => (await readFile(pidFile, 'utf8')).trim() !== '')
    const pid = Number(await readFile(pidFile, 'utf8'))
    await expect.poll(() => isAlive(pid)).toBe(false)
  })

  test('is stopped on request, with its query', async () => {
    await using cluster = await freshCluster()
    const path = await script(cluster, 'CREATE TABLE a ();\nSELECT pg_sleep(4242);\n')
    const sessions = `SELECT 1 FROM pg_stat_activity WHERE usename = 'dblab_import' AND query ~ 'pg_sleep'`
    await stopWhen(cluster, path, async () => (await cluster.query('postgres', sessions)).length > 0)
    await expect.poll(() => cluster.query('postgres', sessions)).toEqual([])
  })

  async function stopWhen(cluster: Cluster, path: string, begun: () => Promise<boolean>): Promise<void> {
    const plan = await planOf(cluster, path)
    const controller = new AbortController()
    const importing = importDump(plan, cluster.instance, { ...toolOf(cluster), signal: controller.signal })
    const refused = expect(importing).rejects.toMatchObject({ code: 'ABORTED' })
    await expect.poll(begun, { timeout: 10_000 }).toBe(true)
    controller.abort()
    await refused
  }

  /** A killed process whose parent has not asked for its status is still listed, as a zombie. */
  async function isAlive(pid: number): Promise<boolean> {
    try {
      const { stdout } = await run(['ps', '-o', 'stat=', '-p', String(pid)])
      return !stdout.startsWith('Z')
    } catch (error) {
      if (error instanceof CommandError && error.exitCode === 1) return false
      throw error
    }
  }
})

describe('the rights of an import', () => {
  test.skipIf(!isRoot || lacking !== '')('are those of the account, not of the server (needs root)', async () => {
    await using cluster = await freshCluster()
    const path = join(cluster.directory, 'who.sql')
    await writeFile(path, `CREATE TABLE who (name text);\n\\set name \`id -un\`\nINSERT INTO who VALUES (:'name');\n`)
    await bringIn(cluster, path)
    expect(await cluster.query('who', 'SELECT name FROM public.who')).toEqual([{ name: cluster.account.name }])
  })
})
