import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findAccount, type Places, run } from '@dblab/provision'
import { isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { CommandSource } from '../../src/retrieval/archive/command-source.ts'
import type { Reporter } from '../../src/retrieval/source.ts'
import { eventually } from '../support/lab.ts'
import { LiveSource } from './live-source.ts'
import { FILL } from './load.ts'
import { checksums, done, ended, inClone, labOf, lacking, needSource } from './world.ts'

const SECRET = 'hush: a secret'

/** What a command is told of, without a lab. */
class Stage implements AsyncDisposable {
  readonly directory: string
  readonly controller = new AbortController()
  readonly reporter: Reporter = { signal: this.controller.signal, progress() {}, info() {}, warn() {} }

  private constructor(directory: string) {
    this.directory = directory
  }

  static async make(): Promise<Stage> {
    const stage = new Stage(await mkdtemp(join(tmpdir(), 'dblab-command-')))
    await chmod(stage.directory, 0o755)
    const account = await findAccount()
    for (const path of [stage.places.dataDir, stage.places.tablespacesDir]) {
      await mkdir(path)
      if (isRoot) await chown(path, account.uid, account.gid)
    }
    return stage
  }

  get places(): Places {
    const volumePath = this.directory
    return { volumePath, dataDir: join(volumePath, 'data'), tablespacesDir: join(volumePath, 'tablespaces') }
  }

  /** Runs a script as the configured command. */
  async bring(script: string, { timeoutMs = 60_000 } = {}): Promise<void> {
    const source = new CommandSource({
      command: ['sh', '-c', script, 'sh', '%d', '%t', '100%%'],
      variables: ['HUSH'],
      ...{ recovery: {}, database: undefined, anyLocale: false, timeoutMs },
      account: await findAccount(),
      environment: (name) => (name === 'HUSH' ? SECRET : undefined),
      majors: async () => [15, 18],
    })
    const checked = await source.check()
    if (checked.brings !== 'cluster') throw new Error('a command brings a cluster')
    await checked.copy(this.places, this.reporter)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true })
  }
}

describe('a command that brings a cluster', () => {
  test('is told where it goes, by its arguments and its environment, and gets nothing else of the server', async () => {
    await using stage = await Stage.make()
    const { dataDir, tablespacesDir } = stage.places
    await stage.bring(
      `printf '%s\\n' "$@" "$(id -un)" > "$1/told"; env | cut -d= -f1 | sort > "$1/names"; env > "$1/env"`,
    )
    const { name } = await findAccount()
    expect(await readFile(join(dataDir, 'told'), 'utf8')).toBe(
      `${[dataDir, tablespacesDir, '100%', name].join('\n')}\n`,
    )
    const own = [
      'DBLAB_DATA_DIRECTORY',
      'DBLAB_POSTGRES_MAJORS',
      'DBLAB_TABLESPACE_DIRECTORY',
      'HUSH',
      'LC_ALL',
      'PATH',
    ]
    const names = (await readFile(join(dataDir, 'names'), 'utf8')).trim().split('\n')
    // The shell's own.
    expect(names.filter((variable) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(variable))).toEqual(own)
    const lines = (await readFile(join(dataDir, 'env'), 'utf8')).split('\n')
    expect(lines).toEqual(expect.arrayContaining([`DBLAB_DATA_DIRECTORY=${dataDir}`, 'DBLAB_POSTGRES_MAJORS=15 18']))
  })

  test('that ends well and leaves nothing is an error by its name', async () => {
    await using stage = await Stage.make()
    await expect(stage.bring('exit 0')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'sh ended without an error and left the data directory empty',
    })
  })

  test('that fails is told with its last words, in which its secrets are not', async () => {
    await using stage = await Stage.make()
    const script = 'for i in 1 2 3 4 5 6 7; do echo "line $i" >&2; done; echo "with $HUSH" >&2; exit 3'
    await expect(stage.bring(script)).rejects.toMatchObject({
      code: 'FAILED',
      message: 'sh ended with status 3; it said: line 4; line 5; line 6; line 7; with [removed]',
    })
  })

  test('that hangs is stopped when its time is over, with all that it has started', async () => {
    await using stage = await Stage.make()
    const script = 'sleep 4711 & echo $! > "$1/pid"; sleep 4712'
    await expect(stage.bring(script, { timeoutMs: 1000 })).rejects.toMatchObject({ code: 'TIMEOUT' })
    await gone(stage)
  })

  test('is stopped on request, with all that it has started', async () => {
    await using stage = await Stage.make()
    const bringing = stage.bring('trap "" TERM; sleep 4711 & echo $! > "$1/pid"; sleep 4712; sleep 4713')
    const ending = expect(bringing).rejects.toMatchObject({ code: 'ABORTED' })
    await eventually('it runs', async () => (await readdir(stage.places.dataDir)).includes('pid'))
    stage.controller.abort()
    await ending
    await gone(stage)
  })
})

async function gone({ places }: Stage): Promise<void> {
  const pid = (await readFile(join(places.dataDir, 'pid'), 'utf8')).trim()
  await eventually('the child is gone', async () => !(await readdir('/proc')).includes(pid))
}

describe.skipIf(lacking !== '')(`a lab with a command${lacking}`, () => {
  test('has what it brought, and the WAL that was archived since', async () => {
    await using live = await LiveSource.make(needSource())
    const [backup, archive] = [join(live.directory, 'backup'), join(live.directory, 'archive')]
    for (const directory of [backup, archive]) {
      await mkdir(directory, { mode: 0o700 })
      if (isRoot) await chown(directory, live.account.uid, live.account.gid)
    }
    await live.query(
      'postgres',
      'CREATE DATABASE shop',
      `ALTER SYSTEM SET archive_mode = 'on'`,
      `ALTER SYSTEM SET archive_command = 'cp %p ${archive}/%f'`,
    )
    await live.stop('SIGINT')
    await live.start()
    await live.query('shop', ...FILL)
    const from = `host=${live.socketDir} port=${live.port} user=postgres`
    const argv: [string, ...string[]] = [join(live.binaries.binDir, 'pg_basebackup'), '-D', backup, '-d', from]
    await run([...argv, '-X', 'none', '-c', 'fast'], { ...(isRoot && { account: live.account }), cwd: '/' })
    await live.query('shop', `INSERT INTO accounts VALUES (0, 'after the backup', 1)`, 'SELECT pg_switch_wal()')
    const client = live.client('shop')
    await client.connect()
    const wanted = await checksums(client)
    await client.end()
    await live.stop('SIGINT')
    const source = { kind: 'archive', command: ['cp', '-a', `${backup}/.`, '%d'], database: 'shop' }
    const restore = { restoreCommand: ['cp', join(archive, '%f'), '%p'], notFoundStatus: 1 }
    await using lab = await labOf({ sources: [{ ...source, ...restore }] })
    await lab.start()
    await done(lab)
    expect(await inClone(lab, 'shop', checksums)).toEqual(wanted)
  })

  test.each([
    ['half a cluster', 'mkdir "$1/base" && echo 15 > "$1/PG_VERSION"', 'INVALID', 'global/pg_control is missing'],
    ['nothing', 'true', 'NOT_FOUND', 'sh ended without an error and left the data directory empty'],
  ])('says so where it brings %s, and leaves nothing', async (_what, script, code, message) => {
    await using lab = await labOf({ sources: [{ kind: 'archive', command: ['sh', '-c', script, 'sh', '%d'] }] })
    await lab.start()
    const { outcome, error } = await ended(lab)
    expect([outcome, error?.code, error?.message]).toEqual(['FAILED', code, expect.stringContaining(message)])
    expect(await readdir(join(lab.directory, '.dblab/pool/volumes'))).toEqual([])
  })
})
