import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { findAccount } from '../../src/postgres/index.ts'
import { initialiseCluster } from '../../src/postgres/process/initialise.ts'
import { openProcessTable, signalProcess } from '../../src/postgres/process/processes.ts'
import { withListed } from '../../src/postgres/process/shared-memory.ts'
import { isRoot } from '../../testbed/index.ts'
import { makeWorld } from './world.ts'

test.skipIf(!isRoot)('what takes the place of a data directory is not emptied by root (root only)', async () => {
  const root = await mkdtemp(join(tmpdir(), 'dblab-initialise-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(root, { recursive: true }))
  await chmod(root, 0o711)
  const account = await findAccount()
  const [files, binDir, precious] = ['files', 'bin', 'precious'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ]
  for (const path of [files, binDir, precious]) await mkdir(path)
  await writeFile(join(precious, 'kept'), '')
  await mkdir(join(files, 'data'), { mode: 0o700 })
  for (const path of [files, join(files, 'data')]) await chown(path, account.uid, account.gid)
  // As somebody of the account can do it while the real one works.
  const swap = `#!/bin/sh\nmv ${files}/data ${files}/moved; ln -s ${precious} ${files}/data; echo 'it failed' >&2; exit 1\n`
  await writeFile(join(binDir, 'initdb'), swap, { mode: 0o755 })

  const making = initialiseCluster(
    join(files, 'data'),
    { major: 18, version: '18.4', binDir, source: 'configured' },
    account,
    undefined,
  )
  await expect(making).rejects.toThrow()
  expect(await readdir(precious)).toEqual(['kept'])
})

// As where the server is killed in the middle of an import: the next one destroys the volume that it began.
test.runIf(process.platform === 'linux').each([
  ['the cluster is made', true],
  ['the lab gets its database', false],
])('what goes on when its caller is killed while %s is ended, with its memory', async (_when, byInitdb) => {
  await using world = await makeWorld()
  const dataDir = await world.emptyDataDir('data')
  const caller = spawn(
    process.execPath,
    [
      '--conditions=source',
      join(import.meta.dirname, 'initialiser.ts'),
      ...[world.stateDir, join(world.root, 'binaries'), dataDir],
    ],
    { stdio: 'inherit' },
  )
  const table = openProcessTable()
  await until(caller, async () => {
    const running = await table.makersIn(dataDir)
    const commands = await Promise.all(
      running.map(({ pid }) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
    )
    // It runs the same program, for what it writes itself.
    if (commands.some((command) => command.includes('initdb')) !== byInitdb) return false
    const memory = await Promise.all(running.map(({ pid }) => table.sharedMemory(pid)))
    if (!memory.some((each) => each !== undefined && each.posix.length > 0)) return false
    // Else they may be done before their caller is gone.
    for (const each of running) await signalProcess(table, each, 'SIGSTOP')
    return true
  })
  caller.kill('SIGKILL')
  await once(caller, 'exit')
  const running = await table.makersIn(dataDir)
  expect(running.length).toBeGreaterThan(0)
  const memory = await Promise.all(running.map(({ pid }) => table.sharedMemory(pid)))
  const posix = await withListed(memory.flatMap((each) => each?.posix ?? []))
  const systemV = memory.flatMap((each) => each?.systemV ?? [])

  // Nor is whoever looks at it: a shell, say.
  const shell = spawn('sleep', ['60'], { cwd: dataDir })
  await world.anotherRuntime().evict(dataDir)
  expect(await table.makersIn(dataDir)).toEqual([])
  expect(shell.kill()).toBe(true)
  for (const path of posix) await expect(access(path)).rejects.toThrow('ENOENT')
  const ids = (await readFile('/proc/sysvipc/shm', 'utf8'))
    .split('\n')
    .map((line) => Number(line.trim().split(/\s+/)[1]))
  for (const id of systemV) expect(ids).not.toContain(id)
})

async function until(child: ChildProcess, holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) {
    if (child.exitCode !== null) throw new Error('it ended too early')
    await sleep(2)
  }
}
