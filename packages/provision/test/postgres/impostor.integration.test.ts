import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { withLabConnection } from '../../src/postgres/index.ts'

const PORT = 5432
const SECRET = 'the password of the account that runs the server'

/** AuthenticationCleartextPassword (PostgreSQL manual, "Message Formats"). */
const ASKS_FOR_A_PASSWORD = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])

test("what listens in the place of a clone's Postgres and asks for a password gets none", async () => {
  const directory = await mkdtemp(join(tmpdir(), 'so-'))
  let heard = ''
  const impostor = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      heard += data.toString('latin1')
      socket.write(ASKS_FOR_A_PASSWORD)
    })
  })
  try {
    impostor.listen(join(directory, `.s.PGSQL.${PORT}`))
    await once(impostor, 'listening')
    vi.stubEnv('PGPASSWORD', SECRET)
    const query = withLabConnection({ socketDir: directory, port: PORT }, 'postgres', (client) =>
      client.query('select 1'),
    )
    await expect(query).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining('asks for a password'),
    })
    expect(heard).toContain('dblab')
    expect(heard).not.toContain(SECRET)
  } finally {
    vi.unstubAllEnvs()
    impostor.close()
    await rm(directory, { recursive: true })
  }
})
