import { once } from 'node:events'
import { mkdtempDisposable } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { answers } from './answers.ts'

/** Takes connections, and says this to whatever it is asked; nothing if left out. */
async function server(text?: string) {
  await using undo = new AsyncDisposableStack()
  const directory = undo.use(await mkdtempDisposable(join(tmpdir(), 'dblab-answers-')))
  const listening = createServer((socket) => {
    socket.on('data', () => text !== undefined && socket.write(text))
    // Who asks may go at any time.
    socket.on('error', () => undefined)
  })
  listening.listen(join(directory.path, '.s.PGSQL.5432'))
  await once(listening, 'listening')
  undo.use(listening)
  const made = undo.move()
  return { socketDir: directory.path, port: 5432, [Symbol.asyncDispose]: () => made.disposeAsync() }
}

test('a server that says yes or no answers', async () => {
  await using refusing = await server('N')
  expect(await answers(refusing, 10_000)).toBe(true)
})

test('one that says nothing, or is not there, does not', async () => {
  await using silent = await server()
  expect(await answers(silent, 50)).toBe(false)
  expect(await answers({ ...silent, port: 5433 }, 10_000)).toBe(false)
})

test('whoever asks can be stopped, which is no answer', async () => {
  await using silent = await server()
  const stopping = new AbortController()
  const asked = answers(silent, 60_000, stopping.signal)
  stopping.abort()
  await expect(asked).rejects.toMatchObject({ code: 'ABORTED' })
  await expect(answers(silent, 60_000, stopping.signal)).rejects.toMatchObject({ code: 'ABORTED' })
})
