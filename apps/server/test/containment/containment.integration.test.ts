import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { promisify } from 'node:util'
import { findAccount, withLabConnection } from '@dblab/provision'
import { hasProgram, isRoot } from '@dblab/provision/testbed'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { binDirOf, MAJORS } from '../support/majors.ts'
import { pagilaMissing } from '../support/pagila.ts'
import { CONNECTIONS, FILES_AND_PROGRAMS, LIBRARIES, ROLES, SERVER, type WayOut } from './ways-out.ts'
import { asLab, at, type Containment, MALLORY, openContainment, session } from './world.ts'

const execute = promisify(execFile)

describe.each(MAJORS)("a clone's user on PostgreSQL $version", (major) => {
  const missing =
    pagilaMissing ??
    (binDirOf(major) ? undefined : `there is no PostgreSQL ${major.version}`) ??
    (hasProgram('psql') ? undefined : 'there is no psql, which imports plain dumps')

  describe.skipIf(missing !== undefined)(
    `can not get out of the database${missing ? ` (skipped: ${missing})` : ''}`,
    () => {
      let world: Containment
      beforeAll(async () => {
        world = await openContainment(major)
      })
      afterAll(() => world?.[Symbol.asyncDispose]())

      const fill = (sql: string) => {
        const { mallory, neighbour, open } = world
        const values: Record<string, string> = {
          OPEN: open,
          OTHER_DATA: neighbour.dataDir,
          OWN_SOCKET: mallory.lab.socketDir,
          OWN_PORT: mallory.clone.db.port,
          OTHER_SOCKET: neighbour.lab.socketDir,
          OTHER_PORT: neighbour.clone.db.port,
        }
        return sql.replace(/\{([A-Z_]+)\}/g, (_, name: string) => values[name] ?? name)
      }

      const isRefused = async ({ before = [], sql, code = /^42501$/ }: WayOut) => {
        await session(world.mallory.url, async (query) => {
          for (const step of before) await query(fill(step))
          await expect(query(fill(sql))).rejects.toMatchObject({ severity: 'ERROR', code: expect.stringMatching(code) })
        })
      }

      describe('to files and programs', () => {
        test.each(FILES_AND_PROGRAMS)('by $title', isRefused)

        test('by a foreign table that the data had on a file: it is empty', async () => {
          expect(await session(world.mallory.url, (query) => query('SELECT * FROM passwd'))).toEqual([])
        })

        test('by an external entity of XML: it stays unread', async () => {
          const document = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
          const read = session(world.mallory.url, (query) =>
            query(`SELECT xmlparse(document '${document}')::text AS text`),
          )
          // A Postgres without libxml does not have the function.
          const seen = await read.catch((error: unknown) => error)
          expect(JSON.stringify(seen)).not.toContain('root:')
        })

        test('and has left nothing where everybody may write', async () => {
          expect(await readdir(world.open)).toEqual([])
        })
      })

      describe('to libraries and languages', () => {
        test.each(LIBRARIES)('by $title', isRefused)

        test('by local_preload_libraries of a database of its own', async () => {
          await session(world.mallory.url, async (query) => {
            await query('CREATE DATABASE preloading')
            await query(`ALTER DATABASE preloading SET local_preload_libraries = '${world.open}/evil.so'`)
          })
          const login = session(at(world.mallory.url, { database: 'preloading' }), (query) => query('SELECT 1'))
          await expect(login).rejects.toMatchObject({ code: '42501' })
          // Nor is it the lab's session that loads it.
          expect(await asLab(world.mallory, 'SELECT 1 AS one', 'preloading')).toEqual([{ one: 1 }])
        })
      })

      describe('to other roles', () => {
        test.each(ROLES)('by $title', isRefused)

        test("by a grant of any of Postgres' own roles", async () => {
          await session(world.mallory.url, async (query) => {
            const roles = (await query(`SELECT rolname FROM pg_roles WHERE rolname ~ '^pg_'`)) as { rolname: string }[]
            expect(roles.length).toBeGreaterThan(10)
            for (const { rolname } of roles)
              await expect(query(`GRANT ${rolname} TO CURRENT_USER`), rolname).rejects.toHaveProperty(
                'code',
                expect.stringMatching(/^(42501|0LP01|0A000)$/),
              )
            const held = `SELECT rolname FROM pg_roles WHERE rolname <> current_user AND pg_has_role(oid, 'member') ORDER BY 1`
            expect(await query(held)).toEqual([{ rolname: 'dblab_owner' }, { rolname: 'pg_database_owner' }])
          })
        })
      })

      describe('to the server', () => {
        test.each(SERVER)('by $title', isRefused)

        test('by its settings: none that names a file or a directory is shown', async () => {
          const paths = `SELECT name FROM pg_settings WHERE name ~ '(_directory|_directories|_file|_path)$' AND setting ~ '/'
          AND name NOT IN ('ssl_crl_file')`
          expect(await session(world.mallory.url, (query) => query(paths))).toEqual([])
        })

        test("by ending or cancelling the lab's sessions, or reading what they do", async () => {
          await withLabConnection(world.mallory.lab, 'dblab', async (client) => {
            const { rows } = await client.query<{ pid: number }>(`SELECT pg_backend_pid() AS pid /* secret */`)
            const pid = rows[0]?.pid
            await session(world.mallory.url, async (query) => {
              for (const sql of [`SELECT pg_terminate_backend(${pid})`, `SELECT pg_cancel_backend(${pid})`])
                await expect(query(sql), sql).rejects.toMatchObject({ code: '42501' })
              const seen = await query(`SELECT query FROM pg_stat_activity WHERE pid = ${pid}`)
              expect(seen).toEqual([{ query: '<insufficient privilege>' }])
            })
            expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
          })
        })

        test('by replication, physical or logical', async () => {
          for (const replication of ['true', 'database']) {
            const login = connect(world.mallory.url, { replication })
            // 53300: there is room for none, so that it does not even come to the question who it is.
            await expect(login, replication).rejects.toMatchObject({ code: '53300' })
          }
        })

        test('by the databases that it may enter: they take nothing from it', async () => {
          await expect(connect(at(world.mallory.url, { database: 'dblab' }))).rejects.toMatchObject({ code: '42501' })
          for (const database of ['template1', 'postgres']) {
            const make = session(at(world.mallory.url, { database }), (query) =>
              query('CREATE TABLE public.trap (a int)'),
            )
            await expect(make, database).rejects.toMatchObject({ code: '42501' })
          }
        })
      })

      describe('to what else runs on the machine', () => {
        test.each(CONNECTIONS)('by $title', isRefused)

        test("by a neighbour's port, with its own login or a guess", async () => {
          const { mallory, neighbour } = world
          const there = new URL(mallory.url)
          there.port = neighbour.clone.db.port
          await expect(connect(there.href)).rejects.toMatchObject({ code: '28000' })
          await expect(connect(at(there.href, { username: 'alice' }))).rejects.toMatchObject({ code: '28P01' })
        })

        test('by any other login at its own', async () => {
          for (const username of ['dblab', 'dblab_owner', 'dblab_extensions', 'postgres', 'alice', 'pg_monitor'])
            await expect(connect(at(world.mallory.url, { username })), username).rejects.toMatchObject({
              code: '28000',
            })
          await expect(connect(at(world.mallory.url, { password: '' }))).rejects.toThrow()
        })

        test('by a socket, even from an account that can reach it', async () => {
          for (const { lab } of [world.mallory, world.neighbour])
            for (const user of ['mallory', 'alice'])
              await expect(
                connect(undefined, { host: lab.socketDir, port: lab.port, user }),
                user,
              ).rejects.toMatchObject({
                code: '28000',
              })
        })

        test.skipIf(!isRoot)(
          "by a program in Postgres' account, as the lab (needs root: to be that account)",
          async () => {
            const { uid, gid } = await findAccount()
            for (const { lab } of [world.mallory, world.neighbour]) {
              const login = execute(
                'psql',
                ['-h', lab.socketDir, '-p', String(lab.port), '-U', 'dblab', '-c', 'SELECT 1', 'dblab'],
                { uid, gid },
              )
              await expect(login).rejects.toMatchObject({
                stderr: expect.stringContaining('Peer authentication failed'),
              })
            }
          },
        )

        test('by a password that is kept as md5: it lets nobody in', async () => {
          const { url } = await world.make({ id: 'careless' })
          await session(url, async (query) => {
            await query(`SET password_encryption = 'md5'`)
            await query(`ALTER ROLE CURRENT_USER PASSWORD '${MALLORY.password}'`)
          })
          await expect(connect(url)).rejects.toMatchObject({ code: '28P01' })
        })
      })
    },
  )
})

async function connect(url: string | undefined, options: Record<string, unknown> = {}): Promise<void> {
  const client = new pg.Client({ ...(url && { connectionString: url }), password: MALLORY.password, ...options })
  client.on('error', () => undefined)
  try {
    await client.connect()
  } finally {
    await client.end()
  }
}
