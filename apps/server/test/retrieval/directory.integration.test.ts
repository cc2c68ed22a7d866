import { chown, mkdir, mkdtemp, readdir, rename, symlink, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { copyLocalCluster, examineLocalCluster, run } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { LiveSource } from './live-source.ts'
import { FILL } from './load.ts'
import { checksums, done, ended, inClone, labOf, lacking, needSource } from './world.ts'

function directory(live: LiveSource, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { kind: 'directory', path: live.dataDir, database: 'shop', ...more }
}

async function source(): Promise<LiveSource> {
  const live = await LiveSource.make(needSource())
  await live.query('postgres', 'CREATE DATABASE shop')
  await live.query('shop', ...FILL)
  return live
}

async function sums(live: LiveSource): Promise<Record<string, string>> {
  const client = live.client('shop')
  await client.connect()
  return checksums(client).finally(() => client.end())
}

/** Names, sizes, times and owners of all that is there. */
async function fingerprint(live: LiveSource): Promise<string> {
  return (await run(['find', live.directory, '-printf', '%p %s %T@ %C@ %u %m %l\n'])).stdout
    .split('\n')
    .sort()
    .join('\n')
}

describe.skipIf(lacking !== '')(`a data directory as a source${lacking}`, () => {
  test('gives clones its data, tablespaces and a linked pg_wal among it, and is left as it was', async () => {
    await using live = await source()
    const [place, wal] = [join(live.directory, 'other disk'), join(live.directory, 'wal disk')]
    await mkdir(place)
    if (isRoot) await chown(place, live.account.uid, live.account.gid)
    await live.query('postgres', `CREATE TABLESPACE other LOCATION '${place}'`)
    await live.query('shop', 'ALTER TABLE accounts SET TABLESPACE other')
    const wanted = await sums(live)
    await live.stop('SIGINT')
    await rename(join(live.dataDir, 'pg_wal'), wal)
    await symlink(wal, join(live.dataDir, 'pg_wal'))
    const trees: [string, ...string[]] = [live.dataDir, place, wal]
    if (isRoot) await run(['chown', '-R', 'nobody', ...trees])
    const before = await fingerprint(live)
    await using lab = await labOf({ sources: [directory(live)] })
    await lab.start()
    const { log } = await done(lab)
    expect(log.map(({ message }) => message).join('\n')).toMatch(/with tablespace \d+, pg_wal, which is a link/)
    expect(await inClone(lab, 'shop', checksums)).toEqual(wanted)
    await inClone(lab, 'shop', (clone) => clone.query('UPDATE accounts SET balance = 7'))
    expect(await inClone(lab, 'shop', checksums)).toEqual(wanted)
    expect(await fingerprint(live)).toBe(before)
    if (isRoot) await run(['chown', '-R', live.account.name, ...trees])
    await live.start()
    expect(await sums(live)).toEqual(wanted)
  })

  test('is refused while a server runs on it, after a crash, and where its disk is not mounted', async () => {
    await using live = await source()
    await using lab = await labOf({ sources: [directory(live)] })
    await using api = lab.client()
    const refused = async () => {
      const { outcome, error, progress } = await ended(lab)
      expect(await readdir(join(lab.directory, '.dblab/pool/volumes'))).toEqual([])
      expect(error?.hint).not.toBe('')
      return [outcome, progress.step, error?.code, error?.message]
    }
    await lab.start()
    expect(await refused()).toEqual(['FAILED', 'CHECK', 'IN_USE', expect.stringContaining('a server runs on')])

    await live.stop('SIGKILL')
    await run(['rm', join(live.dataDir, 'postmaster.pid')])
    await api.retrieval.refresh()
    expect(await refused()).toEqual(['FAILED', 'CHECK', 'INVALID', expect.stringContaining('not shut down cleanly')])

    await rename(live.dataDir, `${live.dataDir}.away`)
    await api.retrieval.refresh()
    expect(await refused()).toEqual(['FAILED', 'CHECK', 'NOT_FOUND', expect.stringContaining('there is no directory')])

    await mkdir(live.dataDir)
    await writeFile(join(live.dataDir, 'lost+found'), '')
    await api.retrieval.refresh()
    expect(await refused()).toEqual(['FAILED', 'CHECK', 'NOT_FOUND', expect.stringContaining('is no data directory')])
  })

  test.skipIf(!isRoot)('gives nothing that its links lead to and that another account has (root only)', async () => {
    await using live = await source()
    await live.stop('SIGINT')
    const secret = join(live.directory, 'of root')
    await mkdir(secret, { mode: 0o700 })
    const refused = { code: 'INVALID', message: expect.stringContaining(`another account: ${secret}`) }
    const volumePath = await mkdtemp(join(live.directory, 'volume-'))
    const places = { volumePath, dataDir: join(volumePath, 'data'), tablespacesDir: join(volumePath, 'tablespaces') }
    const options = { account: live.account, signal: new AbortController().signal, onBytes: () => undefined }

    const [statistics, kept] = [join(live.dataDir, 'pg_stat'), join(live.directory, 'pg_stat')]
    await rename(statistics, kept)
    await symlink(kept, statistics)
    const cluster = await examineLocalCluster(live.dataDir)
    // Exchanged between the look and the copy.
    await rename(kept, `${kept}.away`)
    await rename(secret, kept)
    await expect(copyLocalCluster(cluster, places, options)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(`another account: ${kept}`),
    })
    await rename(kept, secret)
    await unlink(statistics)
    await symlink(secret, statistics)
    await expect(examineLocalCluster(live.dataDir)).rejects.toMatchObject(refused)

    await unlink(statistics)
    await rename(`${kept}.away`, statistics)
    const major = `PG_${live.binaries.major}_1`
    await mkdir(join(secret, major))
    await symlink(secret, join(live.dataDir, 'pg_tblspc/99999'))
    await expect(examineLocalCluster(live.dataDir)).rejects.toMatchObject(refused)
  })

  test('is no source any more where its server is started while it is copied', async () => {
    await using live = await source()
    await live.stop('SIGINT')
    const cluster = await examineLocalCluster(live.dataDir)
    const volumePath = await mkdtemp(join(live.directory, 'volume-'))
    const places = { volumePath, dataDir: join(volumePath, 'data'), tablespacesDir: join(volumePath, 'tablespaces') }
    const { signal } = new AbortController()
    const { account } = live
    let started: Promise<void> | undefined
    const onBytes = () => {
      started ??= live.start()
    }
    const copying = copyLocalCluster(cluster, places, { account, signal, onBytes })
    await expect(copying).rejects.toMatchObject({ code: expect.stringMatching(/^(IN_USE|FAILED)$/) })
    await started
    await live.stop('SIGINT')
    const again = copyLocalCluster(await examineLocalCluster(live.dataDir), places, {
      ...{ account, signal: AbortSignal.abort() },
      onBytes: () => undefined,
    })
    await expect(again).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
