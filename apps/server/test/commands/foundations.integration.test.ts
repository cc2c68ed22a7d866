import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Instance } from '@dblab/models'
import { describe, expect, test } from 'vitest'
import { TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'

/** Another command of the lab that does not end. */
function heldLock(lab: TestLab): Disposable {
  const db = new DatabaseSync(join(lab.directory, '.dblab', 'lock.db'))
  db.exec('BEGIN EXCLUSIVE')
  return { [Symbol.dispose]: () => db.close() }
}

async function stranger(): Promise<{ process: ChildProcess } & AsyncDisposable> {
  const process = spawn('sleep', ['600'], { stdio: 'ignore' })
  await once(process, 'spawn')
  return {
    process,
    [Symbol.asyncDispose]: async () => {
      process.kill('SIGKILL')
      if (process.exitCode === null && process.signalCode === null) await once(process, 'exit')
    },
  }
}

async function edit(file: string, change: (content: Record<string, unknown>) => object): Promise<void> {
  await writeFile(file, JSON.stringify(change(JSON.parse(await readFile(file, 'utf8')))))
}

describe('what a lab stands on', { timeout: 120_000 }, () => {
  test('stop signals the server alone, and nobody who has its pid after it was killed', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    await lab.kill()
    await using other = await stranger()
    const file = join(lab.directory, '.dblab', 'server.json')
    await edit(file, (content) => ({ ...content, pid: other.process.pid }))
    using _held = heldLock(lab)
    await lab.run(['stop'], { timeoutMs: 2000 })
    expect(other.process.signalCode).toBeNull()
  })

  test('stop and destroy need no more of the configuration than where the lab is', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    await writeFile(join(lab.directory, 'dblab.yaml'), 'prot: 1\nstorage: {driver: btrfs}\n')
    const env = { DBLAB_TOKEN: 'short' }
    const stopped = await lab.run(['stop'], { env })
    expect(stopped).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('The lab is stopped'),
      stderr: expect.stringContaining('dblab.yaml:1: prot: there is no such key'),
    })
    await writeFile(join(lab.directory, 'dblab.yaml'), 'storage: {driver: btrfs}\n')
    expect(await lab.run(['destroy', '--yes'], { env })).toMatchObject({ code: 0 })
    expect(existsSync(join(lab.directory, '.dblab'))).toBe(false)
  })

  test('stop takes the configured storage where a first start was cut off before it had chosen', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    const identity = {
      labId: 'abcdefghijkl',
      createdAt: new Date().toISOString(),
      stateDir: join(lab.directory, '.dblab'),
      dataDir: join(lab.directory, '.dblab'),
      epoch: 0,
      complete: false,
    }
    await mkdir(identity.dataDir, { mode: 0o711 })
    await writeFile(join(identity.dataDir, 'lab.json'), JSON.stringify(identity), { mode: 0o600 })
    expect(await lab.run(['stop'])).toMatchObject({ code: 0 })
    expect(JSON.parse(await lab.readDataFile('lab.json')).storage).toMatchObject({ driver: 'copy' })
    await lab.start()
    expect(((await (await lab.fetch('/status')).json()) as Instance).pool.driver).toBe('copy')
  })

  test('a pool that is not there is neither made anew nor destroyed, and found again when it is back', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    await lab.run(['stop'])
    const pool = join(lab.directory, '.dblab', 'pool')
    await rename(pool, `${pool}-elsewhere`)
    for (const args of [['start'], ['stop'], ['destroy', '--yes']]) {
      const refused = await lab.run(args)
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('Is a disk not mounted?') })
    }
    await rename(`${pool}-elsewhere`, pool)
    await lab.start()
    expect(((await (await lab.fetch('/status')).json()) as Instance).snapshots).toHaveLength(1)
  })

  test('a destruction that was cut off can only be ended', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    await lab.start()
    await lab.interrupt()
    const identity = join(lab.directory, '.dblab', 'lab.json')
    await edit(identity, (content) => ({ ...content, destroying: true }))
    await rename(join(lab.directory, '.dblab', 'pool', 'dblab-storage.json'), join(lab.directory, 'gone'))
    for (const command of ['start', 'stop']) {
      const refused = await lab.run([command])
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('npm run destroy') })
    }
    expect(await lab.run(['destroy', '--yes'])).toMatchObject({ code: 0 })
    expect(await leftovers(lab.directory)).toMatchObject({ servers: [], volumes: [] })
  })

  test('a lab of its own choice says at every start what would have been better', async () => {
    await using lab = await TestLab.make({ driver: 'copy' })
    const file = join(lab.directory, 'dblab.yaml')
    await lab.start()
    await lab.interrupt()
    await writeFile(file, (await readFile(file, 'utf8')).replace('driver: copy', 'driver: auto'))
    await lab.start()
    const { pool } = (await (await lab.fetch('/status')).json()) as Instance
    expect(pool).toMatchObject({
      driver: 'copy',
      passedOver: [{ driver: 'zfs' }, { driver: 'btrfs' }, { driver: 'reflink' }],
    })
  })

  test.each([
    ['an address that is not here', 'clones: {host: 192.0.2.1}', {}, /clones\.host: this machine can't listen/],
    ['binaries that are not there', 'postgres: {binDir: /nope}', {}, /postgres\.binDir: /],
    ['a data directory that is a file', '', { DBLAB_DATA_DIR: '/etc/hostname' }, /dataDir: .*no directory/],
    ['a data directory below a file', '', { DBLAB_DATA_DIR: '/etc/hostname/x' }, /dataDir: .*ENOTDIR/],
  ])('%s is refused at the start', async (_, yaml, env, message) => {
    await using lab = await TestLab.make({ driver: 'copy' })
    const file = join(lab.directory, 'dblab.yaml')
    const good = await readFile(file, 'utf8')
    await writeFile(file, `storage: {driver: copy}\n${yaml}\n`)
    expect(await lab.run(['start'], { env })).toMatchObject({ code: 1, stderr: expect.stringMatching(message) })
    await writeFile(file, good)
  })

  test('a token that could be guessed is refused wherever it stands', async () => {
    await using lab = await TestLab.make({ driver: 'copy', env: { DBLAB_TOKEN: '' } })
    await lab.start()
    await lab.interrupt()
    await writeFile(join(lab.directory, '.dblab', 'token'), 'abc\n')
    expect(await lab.run(['start'])).toMatchObject({ code: 1, stderr: expect.stringContaining('holds no token') })
  })
})
