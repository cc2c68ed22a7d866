import { once } from 'node:events'
import { appendFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { portIsTaken } from '../../src/postgres/process/failure.ts'
import { spaceError } from '../../src/postgres/space.ts'
import { makeTemplate, type Template } from './cluster.ts'
import { makeWorld } from './world.ts'

/** Of the longest kind that Postgres does not cut: names have 63 bytes. */
const WORDS = ['LOG:  could not bind IPv4 address "": Address already in use', 'x: No space left on device']

let template: Template
beforeAll(async () => {
  template = await makeTemplate()
})
afterAll(() => template[Symbol.asyncDispose]())

/** Asks for a session as a client does (PostgreSQL manual, "Message Formats", StartupMessage), and waits for the refusal. */
async function knock(port: number, parameters: Record<string, string>): Promise<void> {
  const body = Buffer.from(`${Object.entries(parameters).flat().join('\0')}\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(head.length + body.length, 0)
  head.writeInt32BE(3 << 16, 4)
  const socket = connect(port, '127.0.0.1').resume()
  socket.write(Buffer.concat([head, body]))
  await once(socket, 'close')
}

test('whoever has no login can say nothing in the log that passes for the words of Postgres', async () => {
  await using world = await makeWorld()
  const dataDir = await world.copyOf(template.dataDir, 'data')
  // As Debian has it: with the names that the client gave.
  await appendFile(join(dataDir, 'postgresql.conf'), "log_line_prefix = '%m [%p] %q%u@%d '\n")
  const spec = await world.spec('one', dataDir)
  await world.runtime.start(spec)
  for (const words of WORDS) {
    for (const name of [words, `\n${words}\n`, `"${words}\n`]) {
      await knock(spec.port, { user: 'u', database: name })
      await knock(spec.port, { user: name, database: 'd' })
      await knock(spec.port, { user: 'u', database: 'd', replication: `${name}\n` })
    }
  }
  const log = await world.runtime.logs('one', 1000)
  for (const words of WORDS) expect(log.filter((line) => line.includes(words)).length).toBeGreaterThan(3)
  expect(portIsTaken(log)).toBe(false)
  // Of each message, and not of the last alone.
  for (const end of log.keys())
    if (!/^\s/.test(log[end + 1] ?? '')) expect(spaceError(log.slice(0, end + 1))).toBeUndefined()
})
