import { chown, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RetrievalRun } from '@dblab/models'
import { isLong, isRoot, tooLong } from '@dblab/provision/testbed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ExecTrace } from '../secrets/processes.ts'
import { eventually, type TestLab } from '../support/lab.ts'
import { ArchivedSource, archive, lackingBackRest, STANZA } from './archived-source.ts'
import { DUMP_PASSWORD } from './live-source.ts'
import { FILL } from './load.ts'
import { checksums, done, ended, inClone, labOf, lacking } from './world.ts'

const missing = lacking || lackingBackRest

/** A server with a database `shop`, of which there is a full backup. */
async function source(options: Parameters<typeof ArchivedSource.make>[0] = {}): Promise<ArchivedSource> {
  const made = await ArchivedSource.make(options)
  await made.live.query('postgres', 'CREATE DATABASE shop')
  await made.live.query('shop', ...FILL)
  await made.backrest('backup', '--type=full')
  return made
}

describe.skipIf(missing !== '')(`an archive of pgBackRest${missing}`, () => {
  test('gives clones the newest backup, and all that was archived since, with its tablespaces', async () => {
    await using archived = await source()
    const { live } = archived
    const place = join(live.directory, 'other disk')
    await mkdir(place)
    if (isRoot) await chown(place, live.account.uid, live.account.gid)
    await live.query('postgres', `CREATE TABLESPACE "the other" LOCATION '${place}'`)
    await live.query('shop', 'ALTER TABLE accounts SET TABLESPACE "the other"')
    await archived.backrest('backup', '--type=incr')
    await live.query('shop', `INSERT INTO accounts VALUES (0, 'after the backup', 1)`)
    await archived.archived()
    await using lab = await labOf({ sources: [archive(archived)] })
    await lab.start()
    const run = await done(lab)
    const words = run.log.map(({ message }) => message)
    expect(words.join('\n')).toMatch(/the incr backup \S+ of repository 1, .* is of PostgreSQL 15, .* "the other"/)
    const client = live.client('shop')
    await client.connect()
    const wanted = await checksums(client)
    await client.end()
    expect(await inClone(lab, 'shop', checksums)).toEqual(wanted)
    await inClone(lab, 'shop', (clone) => clone.query('UPDATE accounts SET balance = 7'))
    expect(await inClone(lab, 'shop', checksums)).toEqual(wanted)
    await using api = lab.client()
    const [snapshot] = await api.snapshots.list()
    expect(snapshot?.message).toMatch(/^From pgBackRest: main \d{8}-\d{6}F_\d{8}-\d{6}I$/)
    expect(await readdir(join(lab.directory, '.dblab'))).not.toContain('source')
    await archived.backrest('check')
  })

  test.skipIf(!isLong)(
    `ends where it is told to, from the newest backup that this can be reached from${tooLong}`,
    async () => {
      await using archived = await source()
      const { live } = archived
      await live.query('shop', `INSERT INTO accounts VALUES (-1, 'before', 1)`)
      const [row] = await live.query<{ time: Date }>('shop', 'SELECT clock_timestamp() AS time')
      await live.query('shop', `INSERT INTO accounts VALUES (-2, 'after', 1)`)
      await archived.backrest('backup', '--type=diff')
      await archived.archived()
      const recovery = { time: row?.time.toISOString() }
      await using lab = await labOf({ sources: [archive(archived, { recovery })] })
      await lab.start()
      await done(lab)
      await using api = lab.client()
      const [snapshot] = await api.snapshots.list()
      expect(snapshot?.message).toMatch(/^From pgBackRest: main \d{8}-\d{6}F$/)
      expect(new Date(snapshot?.timestamp ?? '').getTime()).toBeLessThanOrEqual(row?.time.getTime() ?? 0)
      const { rows } = await inClone(lab, 'shop', (clone) => clone.query('SELECT id FROM accounts WHERE id < 0'))
      expect(rows).toEqual([{ id: -1 }])
    },
  )

  test('comes out of an encrypted repository by a secret that no program is given to see', async () => {
    await using archived = await source({
      global: ['repo1-cipher-type=aes-256-cbc', `repo1-cipher-pass=${DUMP_PASSWORD}`],
    })
    const config = join(archived.live.directory, 'lab.conf')
    await writeFile(config, `[global]\nrepo1-path=${archived.repository}\n[${STANZA}]\npg1-path=/nowhere\n`)
    const options = { 'repo1-cipher-type': 'aes-256-cbc', 'process-max': 2 }
    const secrets = { 'repo1-cipher-pass': 'DUMP_PASSWORD' }
    await using trace = await ExecTrace.make()
    await using lab = await labOf({ sources: [archive(archived, {}, { config, options, secrets })] })
    lab.through = trace.argv
    await lab.start()
    const run = await done(lab)
    const started = await trace.started()
    const backrest = started.filter(({ program }) => program.endsWith('/pgbackrest'))
    expect(backrest.some(({ bytes }) => bytes.includes('archive-get'))).toBe(true)
    expect(backrest.filter(({ bytes }) => bytes.includes(DUMP_PASSWORD))).toEqual([])
    expect(JSON.stringify(run) + lab.output).not.toContain(JSON.stringify(DUMP_PASSWORD).slice(1, -1))
    expect(await readdir(join(lab.directory, '.dblab'))).not.toContain('source')
  })

  describe('refuses before anything is made', () => {
    let archived: ArchivedSource
    beforeAll(async () => {
      archived = await source()
    })
    afterAll(async () => archived[Symbol.asyncDispose]())

    test.each([
      ['a stanza that is not there', { stanza: 'mian' }, 'NOT_FOUND', 'finds no stanza "mian"'],
      ['a backup that is not there', { set: '20200101-000000F' }, 'NOT_FOUND', 'no backup of the label'],
      ['a file that is not there', { config: '/nonexistent/pgbackrest.conf' }, 'FAILED', 'unable to open missing file'],
    ])('%s', async (_what, own, code, message) => {
      await using lab = await labOf({ sources: [archive(archived, {}, own)] })
      await lab.start()
      const { outcome, error, progress } = await ended(lab)
      expect([outcome, error?.code, progress.step]).toEqual(['FAILED', code, 'CHECK'])
      expect(error?.message).toContain(message)
      expect(error?.hint).not.toBe('')
    })
  })

  test.skipIf(!isLong)(
    `fails by name where its repository is broken, leaves nothing, and the next run succeeds${tooLong}`,
    async () => {
      await using archived = await source()
      await archived.live.query('shop', `INSERT INTO accounts VALUES (-1, 'archived later', 1)`)
      const segment = await currentSegment(archived)
      await archived.archived()
      await using lab = await labOf({ attempts: 1, sources: [archive(archived)] })
      await using api = lab.client()
      const failure = async () => {
        const { outcome, error } = await ended(lab)
        expect(await readdir(join(lab.directory, '.dblab/pool/volumes'))).toEqual([])
        expect(await api.snapshots.list()).toEqual([])
        return [outcome, error?.code, error?.message]
      }
      const refresh = async () => {
        await api.retrieval.refresh()
      }

      const file = await below(join(archived.repository, 'backup', STANZA), /pg_data\/base\/1\/1259/)
      await rename(file, `${archived.repository}.file`)
      await lab.start()
      expect(await failure()).toEqual(['FAILED', 'FAILED', expect.stringContaining('unable to open missing file')])
      await rename(`${archived.repository}.file`, file)

      // What can't be read is no end of the archive: the data would be older than it looks.
      const wal = await below(join(archived.repository, 'archive', STANZA), new RegExp(segment))
      await rename(wal, `${archived.repository}.wal`)
      await writeFile(wal, 'no segment')
      await refresh()
      expect(await failure()).toEqual([
        'FAILED',
        'UNAVAILABLE',
        expect.stringContaining('the archive could not be read'),
      ])
      await rename(`${archived.repository}.wal`, wal)

      await rename(archived.repository, `${archived.repository}.gone`)
      await refresh()
      expect(await failure()).toEqual(['FAILED', 'NOT_FOUND', expect.stringContaining('finds no stanza')])
      await rename(`${archived.repository}.gone`, archived.repository)

      await refresh()
      await done(lab)
      const { rowCount } = await inClone(lab, 'shop', (clone) => clone.query('SELECT FROM accounts WHERE id = -1'))
      expect(rowCount).toBe(1)
    },
  )

  test('leaves nothing where the server is killed in the middle: no pgbackrest, no secret, no volume', async () => {
    await using archived = await ArchivedSource.make()
    await archived.live.query('postgres', 'CREATE DATABASE shop')
    await archived.live.query('shop', ...FILL, ...BULK)
    await archived.backrest('backup', '--type=full')
    await using lab = await labOf({ sources: [archive(archived, {}, { options: { 'process-max': 1 } })] })
    await lab.start()
    const state = join(lab.directory, '.dblab')
    await eventually(
      'it restores, by its secrets',
      async () => (await restoring(state)).length > 0 && (await readdir(state)).includes('source'),
      60_000,
    )
    await lab.kill()
    await eventually('pgbackrest has ended', async () => (await restoring(state)).length === 0)
    await lab.start()
    const [last, killed] = await allEnded(lab)
    expect([last?.outcome, killed?.outcome, killed?.error?.code]).toEqual(['DONE', 'FAILED', 'INTERRUPTED'])
    expect(await readdir(join(state, 'pool/volumes'))).toHaveLength(1)
    expect(await readdir(state)).not.toContain('source')
  })

  test.skipIf(!isLong)(`begins again where pgbackrest is killed in the middle${tooLong}`, async () => {
    await using archived = await ArchivedSource.make()
    await archived.live.query('postgres', 'CREATE DATABASE shop')
    await archived.live.query('shop', ...FILL, ...BULK)
    await archived.backrest('backup', '--type=full')
    await using lab = await labOf({ attempts: 2, sources: [archive(archived)] })
    await lab.start()
    await using api = lab.client()
    await eventually(
      'it restores',
      async () => ((await api.retrieval.get()).current?.progress.bytesDone ?? 0) > 0,
      60_000,
    )
    const pids = await restoring(join(lab.directory, '.dblab'))
    expect(pids).not.toEqual([])
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    const run = await done(lab)
    expect(run.attempt).toBe(2)
    expect(run.log.map(({ message }) => message)).toContain('pgbackrest was killed while it restored the backup')
    expect(await readdir(join(lab.directory, '.dblab/pool/volumes'))).toHaveLength(1)
    expect(await inClone(lab, 'shop', (clone) => clone.query('SELECT count(*)::int AS n FROM accounts'))).toMatchObject(
      {
        rows: [{ n: 20_000 }],
      },
    )
  })
})

/** What takes pgBackRest a while, since nothing of it can be compressed. */
const BULK = [
  `CREATE TABLE bulk AS SELECT string_agg(md5(random()::text), '') AS t FROM generate_series(1, 2000000) i GROUP BY i / 40`,
]

async function currentSegment({ live }: ArchivedSource): Promise<string> {
  const [row] = await live.query<{ name: string }>('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn()) AS name')
  return row?.name ?? ''
}

/** The path of the file below a directory whose path is of this form. */
async function below(directory: string, form: RegExp): Promise<string> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const found = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const path = found.find((one) => form.test(one))
  if (path === undefined) throw new Error(`there is no file ${form}`)
  return path
}

/** Its runs, the last one first, once none is under way. */
async function allEnded(lab: TestLab): Promise<RetrievalRun[]> {
  await done(lab)
  await using api = lab.client()
  return (await api.retrieval.get()).runs
}

/** The processes that restore into a lab. */
async function restoring(directory: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found: number[] = []
  for (const pid of pids) {
    const argv = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (argv.includes('/pgbackrest\0') && argv.includes(directory)) found.push(pid)
  }
  return found
}
