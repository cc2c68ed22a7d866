import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtempDisposable, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { run, withCommandTimeout } from './exec.ts'
import { type Answer, ARE_YOU_THERE } from './small-process/protocol.ts'
import { SmallProcess, smallProcess } from './small-process/small-process.ts'

describe.each(['here', 'from the small process'])('a program that is run %s', (from) => {
  // It stays for the tests that follow: those that do without come first.
  const ready = async () => {
    if (from === 'here') return expect(smallProcess.isReady).toBe(false)
    smallProcess.start()
    await vi.waitUntil(() => smallProcess.isReady, { timeout: 30_000 })
  }

  test('gets its arguments, its input and an environment of its own, and gives what it says', async () => {
    await ready()
    const argv = ['sh', '-c', 'cat; echo " $0 $1 $A $LC_ALL $PWD home:$HOME"; echo no >&2', 'a b', '"c'] as const
    const { stdout, stderr } = await run(argv, { input: 'ü', env: { A: 'x' }, cwd: '/' })
    expect({ stdout, stderr }).toEqual({ stdout: 'ü a b "c x C / home:', stderr: 'no' })
  })

  test('that fails is told with its status and its words, one that is not there by its name', async () => {
    await ready()
    await expect(run(['sh', '-c', 'echo one >&2; echo two >&2; exit 3'])).rejects.toMatchObject({
      name: 'CommandError',
      message: 'sh -c failed (exit 3): two',
      exitCode: 3,
      stderr: 'one\ntwo',
    })
    await expect(run(['not-a-program'])).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  test('and hangs is stopped, and named with what it was to do and no more', async () => {
    await ready()
    const started = Date.now()
    const hanging = run(['sh', '-c', 'exec sleep 60', 'a secret'], { timeoutMs: 100 })
    await expect(hanging).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'sh did not end in 0.1 s, and was stopped',
    })
    expect(Date.now() - started).toBeLessThan(10_000)
  })

  test('is stopped on request, before it began as well', async () => {
    await ready()
    const stopping = new AbortController()
    const stopped = run(['sleep', '60'], { signal: stopping.signal })
    stopping.abort()
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(run(['sleep', '60'], { signal: stopping.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  })

  test('and does not listen is killed', async () => {
    await ready()
    const deaf = run(['sh', '-c', "trap '' TERM; while :; do sleep 0.1; done"], { timeoutMs: 100 })
    await expect(deaf).rejects.toMatchObject({ code: 'TIMEOUT', hint: expect.any(String) })
  })

  test('and leaves others behind, who hold on to its output, is not waited for', { timeout: 20_000 }, async () => {
    await ready()
    const leaving = run(['sh', '-c', 'sleep 12 & wait'], { timeoutMs: 100 })
    await expect(leaving).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(/not even by SIGKILL/),
    })
  })

  test('and was stopped by a signal is killed', async () => {
    await ready()
    const stopped = run(['sh', '-c', 'kill -STOP $$'], { timeoutMs: 100 })
    await expect(stopped).rejects.toMatchObject({ code: 'TIMEOUT' })
  })

  test('has the time that is set for all that some work runs, where it says nothing itself', async () => {
    await ready()
    const work = () => withCommandTimeout(100, () => run(['sleep', '60']))
    await expect(work()).rejects.toMatchObject({ code: 'TIMEOUT' })
    await withCommandTimeout(100, () => run(['sleep', '0.3'], { timeoutMs: 10_000 }))
  })
})

describe('what the small process ran', () => {
  const smallPid = async () => {
    smallProcess.start()
    await vi.waitUntil(() => smallProcess.isReady, { timeout: 30_000 })
    const pid = Number((await run(['sh', '-c', 'echo $PPID'])).stdout)
    expect(pid).not.toBe(process.pid)
    return pid
  }
  const fails = (running: Promise<unknown>) =>
    expect(running).rejects.toMatchObject({ code: 'FAILED', hint: expect.any(String) })
  const nextIsRun = async () => expect((await run(['sh', '-c', 'echo $PPID'])).stdout).toBe(`${process.pid}`)

  test('when it was killed has failed, as has all that is ordered before its end is known, and the next is run', async () => {
    const pid = await smallPid()
    const before = fails(run(['sleep', '60']))
    process.kill(pid, 'SIGKILL')
    await Promise.all([before, ...[1, 2, 3].map(() => fails(run(['true'])))])
    await nextIsRun()
  })

  test('when it hung is lost after a while, and it is killed', { timeout: 30_000 }, async () => {
    const own = new SmallProcess({ answerWithinMs: 500 })
    const runs = (...argv: [string, ...string[]]) => {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      own.order({ run: { argv, env: {}, timeoutMs: 60_000 } }, { hear: resolve, lose: reject })
      return promise
    }
    const told = await runs('/bin/sh', '-c', 'echo $PPID')
    const pid = Number('ran' in told && told.ran.stdout)
    process.kill(pid, 'SIGSTOP')
    await fails(runs('/bin/true'))
    await vi.waitUntil(() => !existsSync(`/proc/${pid}`))
    expect(await runs('/bin/sh', '-c', 'exit 0')).toMatchObject({ ran: {} })
  })

  test('may say much, and what says more than that is ended, alone', { timeout: 30_000 }, async () => {
    await smallPid()
    const says = (bytes: number) => run(['sh', '-c', `yes | head -c ${bytes}`])
    const [much, more] = await Promise.allSettled([says(12_000_000), says(40_000_000)])
    expect(much).toMatchObject({ status: 'fulfilled', value: { stdout: expect.any(String) } })
    expect(more).toMatchObject({ status: 'rejected', reason: { name: 'CommandError' } })
    expect(smallProcess.isReady).toBe(true)
  })

  test('is refused where its arguments are none', async () => {
    await smallPid()
    await expect(run(['true', 'a\0b'])).rejects.toMatchObject({ name: 'CommandError' })
    expect(smallProcess.isReady).toBe(true)
  })
})

describe('what the small process runs when its server is gone', () => {
  const MAIN = fileURLToPath(new URL('small-process/small-process-main.ts', import.meta.url))
  const order = (id: number, cwd: string, script: string, onlyLooks?: boolean) => ({
    id,
    run: { argv: ['sh', '-c', script], env: { PATH: process.env.PATH }, timeoutMs: 60_000, cwd, onlyLooks },
  })

  test('comes to its end, but for what only looks', { timeout: 30_000 }, async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'dblab-small-'))
    const has = (name: string) => existsSync(join(directory.path, name))
    const small = fork(MAIN, { serialization: 'advanced' })
    await once(small, 'message')
    small.send(order(1, directory.path, 'touch began-to-look; exec sleep 60', true))
    small.send(order(2, directory.path, 'touch began-to-work; sleep 1; touch worked'))
    await vi.waitUntil(() => has('began-to-look') && has('began-to-work'), { timeout: 20_000 })
    const ended = once(small, 'exit')
    small.disconnect()
    expect(await Promise.race([ended, sleep(15_000, 'still there')])).toEqual([0, null])
    expect(has('worked')).toBe(true)
  })

  test('comes to its end where an answer finds nobody any more', { timeout: 30_000 }, async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'dblab-small-'))
    const has = (name: string) => existsSync(join(directory.path, name))
    // It is kept for a second by a question, as a disk might, and answers without having seen that nobody is there any more.
    const slow = `process.on('message', (message) => {
      if (message !== '${ARE_YOU_THERE}') return
      for (const end = Date.now() + 1000; Date.now() < end;);
    })`
    const server = spawn(
      process.execPath,
      [
        '--eval',
        `const [main, slow, order, question] = process.argv.slice(1)
         const small = require('node:child_process').fork(main, {
           serialization: 'advanced',
           execArgv: ['--import', 'data:text/javascript,' + encodeURIComponent(slow)],
         })
         require('node:fs').writeFileSync('small.pid', String(small.pid))
         small.once('message', () => small.send(JSON.parse(order)))
         process.once('SIGUSR2', () => small.send(question, () => process.kill(process.pid, 'SIGKILL')))`,
        MAIN,
        slow,
        JSON.stringify(order(1, directory.path, 'touch began; sleep 4; touch worked')),
        ARE_YOU_THERE,
      ],
      { cwd: directory.path, stdio: 'ignore' },
    )
    await vi.waitUntil(() => has('began'), { timeout: 20_000 })
    const small = Number(await readFile(join(directory.path, 'small.pid'), 'utf8'))
    const killed = once(server, 'exit')
    server.kill('SIGUSR2')
    await killed
    await sleep(2000)
    // Empty of one that has ended, and waits for somebody to ask how.
    expect([await readFile(`/proc/${small}/cmdline`, 'utf8'), has('worked')]).toEqual([
      expect.stringMatching(/./),
      false,
    ])
    await vi.waitUntil(() => has('worked'), { timeout: 15_000 })
    await vi.waitUntil(() => !existsSync(`/proc/${small}`), { timeout: 15_000 })
  })
})
