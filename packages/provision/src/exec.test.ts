import { expect, test } from 'vitest'
import { run, withCommandTimeout } from './exec.ts'

test('a program that hangs is stopped, and named with what it was to do and no more', async () => {
  const started = Date.now()
  const hanging = run(['sh', '-c', 'exec sleep 60', 'a secret'], { timeoutMs: 100 })
  await expect(hanging).rejects.toMatchObject({ code: 'TIMEOUT', message: 'sh did not end in 0.1 s, and was stopped' })
  expect(Date.now() - started).toBeLessThan(10_000)
})

test('one that does not listen is killed', async () => {
  const deaf = run(['sh', '-c', "trap '' TERM; while :; do sleep 0.1; done"], { timeoutMs: 100 })
  await expect(deaf).rejects.toMatchObject({ code: 'TIMEOUT', hint: expect.any(String) })
})

test('one that leaves others behind, who hold on to its output, is not waited for', { timeout: 20_000 }, async () => {
  const leaving = run(['sh', '-c', 'sleep 12 & wait'], { timeoutMs: 100 })
  await expect(leaving).rejects.toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringMatching(/not even by SIGKILL/),
  })
})

test('one that was stopped by a signal is killed', async () => {
  const stopped = run(['sh', '-c', 'kill -STOP $$'], { timeoutMs: 100 })
  await expect(stopped).rejects.toMatchObject({ code: 'TIMEOUT' })
})

test('a time that is set for all that some work runs holds for what says nothing itself', async () => {
  const work = () => withCommandTimeout(100, () => run(['sleep', '60']))
  await expect(work()).rejects.toMatchObject({ code: 'TIMEOUT' })
  await withCommandTimeout(100, () => run(['sleep', '0.3'], { timeoutMs: 10_000 }))
})
