import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { run, withCommandTimeout } from './exec.ts'
import { smallProcess } from './small-process/small-process.ts'

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

  test('when it hung has failed within seconds', { timeout: 30_000 }, async () => {
    const pid = await smallPid()
    process.kill(pid, 'SIGSTOP')
    await fails(run(['true']))
    await nextIsRun()
    await vi.waitUntil(() => !existsSync(`/proc/${pid}`))
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
  test('comes to its end, but for what only waits', { timeout: 30_000 }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'dblab-small-'))
    try {
      const small = fork(fileURLToPath(new URL('small-process/small-process-main.ts', import.meta.url)), {
        serialization: 'advanced',
      })
      await once(small, 'message')
      const order = (id: number, script: string, onlyWaits?: boolean) =>
        small.send({
          id,
          run: {
            argv: ['sh', '-c', script],
            env: { PATH: process.env.PATH },
            timeoutMs: 60_000,
            cwd: directory,
            onlyWaits,
          },
        })
      order(1, 'touch began-to-wait; exec sleep 60', true)
      order(2, 'touch began-to-work; sleep 1; touch worked')
      const has = (name: string) => existsSync(join(directory, name))
      await vi.waitUntil(() => has('began-to-wait') && has('began-to-work'), { timeout: 20_000 })
      const ended = once(small, 'exit')
      small.disconnect()
      expect(await Promise.race([ended, sleep(15_000, 'still there')])).toEqual([0, null])
      expect(has('worked')).toBe(true)
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})
