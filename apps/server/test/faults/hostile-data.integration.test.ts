import { execFileSync } from 'node:child_process'
import { readdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clone } from '@dblab/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { type Postmaster, postmasterOf } from '../support/postmaster.ts'
import { bystander } from './bystander.ts'

/** Whoever has got hold of the account of Postgres can put anything into the directories of the clones: it must not stop the server, which reads them. */
describe('what is put in the place of files of Postgres', { timeout: 180_000 }, () => {
  let lab: TestLab
  let other: Awaited<ReturnType<typeof bystander>>

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy', config: { postgres: { startSeconds: 20, recoverySeconds: 6 } } })
    await lab.start()
    other = await bystander(lab)
  })
  afterAll(async () => {
    await other.end()
    await lab[Symbol.asyncDispose]()
  })

  async function make(id: string): Promise<Postmaster> {
    return postmasterOf(urlOf(await createClone(lab, { id })))
  }

  async function get(id: string): Promise<Clone> {
    return (await (await lab.fetch(`/clone/${id}`)).json()) as Clone
  }

  async function isGone(id: string): Promise<boolean> {
    return (await lab.fetch(`/clone/${id}`)).status === 404
  }

  test('FIFOs that nobody writes to keep neither the server nor a start waiting', async () => {
    // More than libuv has threads.
    const ids = ['fifo-1', 'fifo-2', 'fifo-3', 'fifo-4', 'fifo-5']
    const postmasters = await Promise.all(ids.map(make))
    for (const { pid, dataDir } of postmasters) {
      for (const name of ['postmaster.pid', 'PG_VERSION', 'global/pg_control']) {
        await rm(join(dataDir, name))
        execFileSync('mkfifo', [join(dataDir, name)])
      }
      process.kill(pid, 'SIGKILL')
    }
    for (const id of ids)
      await eventually(`${id} is FATAL`, async () => (await get(id)).status.code === 'FATAL', 60_000)
    expect((await get('fifo-1')).status.message).toMatch(/PG_VERSION .* is none that Postgres has written/)
    expect((await createClone(lab, { id: 'beside' })).status.code).toBe('OK')
    await lab.kill()
    await lab.start()
    await other.goesOn()
    for (const id of ids) {
      expect((await lab.fetch(`/clone/${id}`, { method: 'DELETE' })).status).toBe(202)
      await eventually(`${id} is gone`, () => isGone(id), 40_000)
    }
  })

  test('a socket that is a link to itself keeps nobody from looking after the others', async () => {
    await make('looped')
    await make('over')
    const sockets = join(lab.directory, '.dblab/postgres/sockets')
    const { db } = await get('looped')
    for (const directory of await readdir(sockets)) {
      const socket = join(sockets, directory, `.s.PGSQL.${db.port}`)
      if (!(await readdir(join(sockets, directory))).includes(`.s.PGSQL.${db.port}`)) continue
      await rm(socket)
      await symlink(socket, socket)
    }
    const deleteAt = new Date(Date.now() + 1500).toISOString()
    expect((await lab.fetch('/clone/over', { method: 'PATCH', json: { deleteAt } })).status).toBe(200)
    await eventually('its time is over', () => isGone('over'), 60_000)
    expect((await lab.fetch('/clone/looped', { method: 'DELETE' })).status).toBe(202)
    await eventually('looped is gone', () => isGone('looped'), 40_000)
    await other.goesOn()
  })
})
