import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  armFaults,
  identifyProcess,
  isRunning,
  openProcessTable,
  type Places,
  RARE_POINTS,
  run,
} from '../../src/index.ts'
import { describeDriver, isRoot } from '../../testbed/index.ts'
import { openSource, type Source } from './source.ts'
import { type Lab, missing, openLab } from './world.ts'

const ADOPTION = RARE_POINTS.filter((point) => /^adopt\.(?!cloned)/.test(point))
const ADOPTER = join(import.meta.dirname, 'adopter.ts')

interface Case {
  what: string
  /** Done to a sound copy, by its account unless it is root's doing. */
  spoil(places: Places, source: Source): Promise<unknown>
  expected: { code: string; message?: unknown; hint?: unknown }
}

const CASES: Case[] = [
  {
    what: 'an empty directory',
    spoil: ({ dataDir }) => rm(dataDir, { recursive: true }).then(() => asAccount('mkdir', '-m', '700', dataDir)),
    expected: { code: 'NOT_FOUND' },
  },
  ...['PG_VERSION', 'global/pg_control', 'base', 'pg_wal'].map((name) => ({
    what: `a copy without ${name}`,
    spoil: ({ dataDir }: Places) => rm(join(dataDir, name), { recursive: true }),
    expected: { code: 'INVALID', message: expect.stringContaining(name), hint: expect.any(String) },
  })),
  {
    what: 'data of a PostgreSQL that is too old',
    spoil: ({ dataDir }) => writeFile(join(dataDir, 'PG_VERSION'), '13\n'),
    expected: { code: 'INVALID', message: expect.stringContaining('13'), hint: expect.stringContaining('14') },
  },
  {
    what: 'a control file of another kind of machine',
    spoil: ({ dataDir }) => writeFile(join(dataDir, 'global', 'pg_control'), Buffer.alloc(8192, 1)),
    expected: { code: 'INVALID', message: expect.stringContaining('pg_control') },
  },
  {
    what: 'a copy with files of another account',
    spoil: ({ dataDir }) => run(['chown', 'root', join(dataDir, 'base', '1', 'PG_VERSION')]),
    expected: { code: 'INVALID', message: expect.stringContaining('base/1/PG_VERSION'), hint: expect.any(String) },
  },
  {
    what: 'a tablespace that lies elsewhere',
    spoil: async ({ dataDir }, source) => asAccount('ln', '-s', source.dataDir, join(dataDir, 'pg_tblspc', '16999')),
    expected: {
      code: 'INVALID',
      message: expect.stringContaining('16999 at /var/tmp'),
      hint: expect.stringContaining('--tablespace-mapping'),
    },
  },
  {
    what: 'pg_wal as a link to elsewhere',
    spoil: async ({ dataDir }, source) => {
      await rm(join(dataDir, 'pg_wal'), { recursive: true })
      await asAccount('ln', '-s', join(source.dataDir, 'pg_wal'), join(dataDir, 'pg_wal'))
    },
    expected: { code: 'INVALID', message: expect.stringContaining('pg_wal'), hint: expect.any(String) },
  },
  {
    what: 'a file that is a link to elsewhere',
    spoil: async ({ dataDir }) => {
      await rm(join(dataDir, 'base', '1', 'PG_VERSION'))
      await asAccount('ln', '-s', '/etc/hostname', join(dataDir, 'base', '1', 'PG_VERSION'))
    },
    expected: { code: 'INVALID', message: expect.stringContaining('data/base/1/PG_VERSION') },
  },
  {
    what: 'a FIFO in the place of a file',
    spoil: ({ dataDir }) => asAccount('mkfifo', join(dataDir, 'base', 'fifo')),
    expected: { code: 'INVALID', message: expect.stringContaining('base/fifo') },
  },
]

let lab: Lab
let source: Source
/** As after SIGKILL, so that there is something to recover. */
let killed: string
beforeAll(async () => {
  if (missing !== undefined) return
  lab = await openLab()
  source = await openSource(lab.world.account, await lab.world.binaries(15))
  await source.stop('immediate')
  killed = join(source.root, 'killed')
  await asAccount('cp', '-a', source.dataDir, killed)
  await source.start()
  await source.stop()
})
afterAll(async () => {
  await source?.[Symbol.asyncDispose]()
  await lab?.[Symbol.asyncDispose]()
})

async function asAccount(program: string, ...args: string[]): Promise<void> {
  await run([program, ...args], { ...(isRoot && { account: lab.world.account }) })
}

async function copy({ dataDir }: Places): Promise<void> {
  await asAccount('cp', '-a', `${source.dataDir}/.`, dataDir)
}

async function expectNothingLeft(): Promise<void> {
  expect(await lab.storage.listVolumes()).toEqual([])
  expect(await lab.world.runtime.list()).toEqual([])
}

describeDriver('btrfs', missing, () => {
  test.each(CASES)('$what is refused by name, and nothing is left of it', async ({ spoil, expected }) => {
    const bring = async (places: Places) => {
      await copy(places)
      await spoil(places, source)
    }
    await expect(lab.provisioner.adoptBase({ volumeId: 'base' }, { bring })).rejects.toMatchObject(expected)
    await expectNothingLeft()
  })

  test('a failure to bring it, and a word to stop, leave nothing', async () => {
    const failing = lab.provisioner.adoptBase(
      { volumeId: 'base' },
      { bring: () => Promise.reject(new Error('no such host')) },
    )
    await expect(failing).rejects.toThrow('no such host')
    const stop = new AbortController()
    const bring = async (places: Places) => {
      await copy(places)
      stop.abort()
    }
    await expect(lab.provisioner.adoptBase({ volumeId: 'base' }, { bring, signal: stop.signal })).rejects.toThrow()
    await expectNothingLeft()
  })

  test.each(ADOPTION)('a fault at %s leaves nothing', async (point) => {
    const bring = async (places: Places) => {
      await asAccount('cp', '-a', `${killed}/.`, places.dataDir)
    }
    armFaults({ faults: [{ point, action: 'throw' }] })
    await expect(lab.provisioner.adoptBase({ volumeId: 'base' }, { bring })).rejects.toThrow(point)
    armFaults(undefined)
    await expectNothingLeft()
  })

  test.each([0, 1])(
    'what can not be flushed is not published, and ends nothing else: %d flushes work',
    async (skip) => {
      const bring = async (places: Places) => {
        await asAccount('cp', '-a', `${killed}/.`, places.dataDir)
      }
      armFaults({ faults: [{ point: 'before sync', action: 'throw', skip }] })
      await expect(lab.provisioner.adoptBase({ volumeId: 'base' }, { bring })).rejects.toThrow('before sync')
      armFaults(undefined)
      await expectNothingLeft()
    },
  )

  test.each(ADOPTION)('killed at %s it is taken away by whoever comes next', async (point) => {
    const directories = [lab.world.stateDir, join(lab.world.root, 'binaries'), lab.root, killed]
    const child = spawn(process.execPath, ['--conditions=source', ADOPTER, ...directories, point], { stdio: 'inherit' })
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
    const path = (await lab.storage.findVolume('base'))?.path ?? ''
    for (const { id } of await lab.world.runtime.list()) await lab.world.runtime.remove(id)
    await lab.provisioner.destroyVolume('base')
    await expectNothingLeft()
    expect(await openProcessTable().inDirectory(join(path, 'data'))).toEqual([])
  })

  test.each([
    ['is not there', false],
    ['is there, and open to the account', true],
  ])('a tablespace that the source makes while it is copied is refused where its directory %s', async (_, isThere) => {
    await using busy = await openSource(lab.world.account, await lab.world.binaries(15))
    const directory = await busy.directory('late')
    const bring = async ({ dataDir }: Places) => {
      await busy.session(async (query) => {
        await query(`select pg_backup_start('b', true)`)
        await asAccount('cp', '-a', `${busy.dataDir}/.`, dataDir)
        await query(`create tablespace late location '${directory}'`)
        await query('create table public.t tablespace late as select 1 as i')
        const [ended] = await query('select labelfile from pg_backup_stop(false)')
        await asAccount('cp', '-a', `${join(busy.dataDir, 'pg_wal')}/.`, join(dataDir, 'pg_wal'))
        await busy.write(join(dataDir, 'backup_label'), String(ended?.labelfile))
      })
      await busy.stop('immediate')
      if (!isThere) await rm(directory, { recursive: true })
    }
    await expect(lab.provisioner.adoptBase({ volumeId: 'base' }, { bring })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/tablespace.* while the copy was taken/),
      hint: expect.stringContaining('Take the copy again'),
    })
    await expectNothingLeft()
  })

  test('a cluster on which a server runs is refused', async () => {
    let pid = 0
    const bring = async (places: Places) => {
      await copy(places)
      const log = join(source.root, 'foreign.log')
      await source.run('pg_ctl', 'start', '-w', '-D', places.dataDir, '-o', '-c listen_addresses=', '-l', log)
      pid = Number((await readFile(join(places.dataDir, 'postmaster.pid'), 'utf8')).split('\n')[0])
    }
    const adopting = lab.provisioner.adoptBase({ volumeId: 'base' }, { bring })
    await expect(adopting).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    const server = await identifyProcess(pid)
    process.kill(pid, 'SIGQUIT')
    while (server && (await isRunning(openProcessTable(), server))) await sleep(50)
    await expectNothingLeft()
  })

  test('a file that has another name outside of the volume is refused', async () => {
    await using plain = await openLab('copy')
    const bring = async (places: Places) => {
      await copy(places)
      await link(join(places.dataDir, 'base', '1', 'PG_VERSION'), join(places.volumePath, '../../../..', 'outside'))
    }
    await expect(plain.provisioner.adoptBase({ volumeId: 'base' }, { bring })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('base/1/PG_VERSION'),
      hint: expect.any(String),
    })
  })

  test.each(['template1', 'second'])(
    'a locale of %s that this machine lacks is refused, with what to do',
    async (database) => {
      await using foreign = await openSource(lab.world.account, await lab.world.binaries(15))
      await foreign.query('create database second')
      await foreign.query(
        `update pg_database set datcollate = 'xx_XX.UTF-8', datctype = 'xx_XX.UTF-8' where datname = '${database}'`,
      )
      await foreign.stop()
      const bring = ({ dataDir }: Places) => asAccount('cp', '-a', `${foreign.dataDir}/.`, dataDir)
      await expect(lab.provisioner.adoptBase({ volumeId: 'base' }, { bring })).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining('locale'),
        hint: expect.stringContaining('locale-gen'),
      })
      await expectNothingLeft()
    },
  )

  test.each([
    ['create role dblab_owner', 'dblab_owner', 'drop role dblab_owner'],
    ['create role dblab superuser', 'dblab', 'drop role dblab'],
    ['create database dblab', 'dblab', 'drop database dblab'],
  ])("data with names of the lab's own is refused by name: %s", async (make, name, undo) => {
    await source.start()
    await source.query(make)
    await source.stop()
    const adopting = lab.provisioner.adoptBase({ volumeId: 'base' }, { bring: copy })
    await expect(adopting).rejects.toMatchObject({ code: 'INVALID', message: expect.stringContaining(name) })
    await expectNothingLeft()
    await source.start()
    await source.query(undo)
    await source.stop()
  })
})
