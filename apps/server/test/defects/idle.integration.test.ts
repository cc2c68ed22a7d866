import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Clone } from '@dblab/models'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClone, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { leftovers } from '../support/leftovers.ts'
import { openSession, query } from '../support/sql.ts'

const execute = promisify(execFile)

/** Two rounds of the one that looks after clones, and some. */
const rounds = 60_000

/** Nothing of what its users do stands in the log. */
const SILENT = { log_connections: 'off', log_disconnections: 'off', log_statement: 'none', log_min_messages: 'panic' }

/** Defects that others of this kind have, in telling who is idle. docs/reliability.md lists all of them. */
describe('idle deletion', { timeout: 180_000 }, () => {
  let lab: TestLab

  beforeAll(async () => {
    const config = { clones: { idleMinutes: 0.1 }, postgres: { settings: SILENT } }
    lab = await TestLab.make({ driver: 'copy', config })
    await lab.start()
  })
  afterAll(async () => lab[Symbol.asyncDispose]())

  async function exists(id: string): Promise<boolean> {
    return (await lab.fetch(`/clone/${id}`)).status === 200
  }

  test('defect 6: the idle sweep judges each clone as it is by then, while others change them', async () => {
    // The first of the round hangs, so that the rest of it comes after all that is done meanwhile.
    const first = await createClone(lab, { id: 'hangs', protected: true })
    for (const id of ['reset', 'deleted', 'guarded', 'left-alone']) await createClone(lab, { id })
    const guarded = urlOf((await (await lab.fetch('/clone/guarded')).json()) as Clone)
    const sample = await query(guarded, 'SELECT 1 AS one')
    expect(sample).toEqual([{ one: 1 }])
    const hanging = await postmasterOf(lab, first)
    process.kill(hanging, 'SIGSTOP')
    try {
      await eventually('the sweep hangs at the first clone', () => isKnockedAt(first), rounds)
      await lab.fetch('/clone/guarded', { method: 'PATCH', json: { protected: true } })
      expect((await lab.fetch('/clone/reset/reset?wait=60', { method: 'POST' })).status).toBe(202)
      await lab.fetch('/clone/deleted', { method: 'DELETE' })
      await eventually('it is gone', async () => !(await exists('deleted')))
      await createClone(lab, { id: 'made-meanwhile', protected: true })
    } finally {
      process.kill(hanging, 'SIGCONT')
    }
    await eventually('the one that nobody touched goes', async () => !(await exists('left-alone')), rounds)
    for (const id of ['guarded', 'made-meanwhile', 'hangs']) expect(await exists(id), id).toBe(true)
    expect(await exists('deleted')).toBe(false)
    // A clone that changed under the sweep is not taken for one that is down.
    expect(lab.output).not.toMatch(/ error |a clone is down/)
    for (const id of ['guarded', 'made-meanwhile', 'hangs'])
      await lab.fetch(`/clone/${id}`, { method: 'PATCH', json: { protected: false } })
  })

  test('defect 15: an open session is use, however quiet and though nothing is logged; without one a clone goes', async () => {
    const [idle, inSession, protectedOne] = await Promise.all([
      createClone(lab, { id: 'idle-one' }),
      createClone(lab, { id: 'in-session' }),
      createClone(lab, { id: 'protected-one', protected: true }),
    ])
    expect(idle.status.code).toBe('OK')
    const session = await openSession(urlOf(inSession))
    await eventually('the idle clone is gone', async () => !(await exists(idle.id)), rounds)
    expect(await exists(inSession.id)).toBe(true)
    expect(await exists(protectedOne.id)).toBe(true)
    expect((await session.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await session.end()
    await eventually('it goes once the session is over', async () => !(await exists(inSession.id)), rounds)
    await lab.fetch(`/clone/${protectedOne.id}`, { method: 'PATCH', json: { protected: false } })
  })
})

/** Of the Postgres that listens on the clone's port. */
async function postmasterOf(lab: TestLab, { db }: Clone): Promise<number> {
  for (const line of (await leftovers(lab.directory)).servers) {
    const directory = line.slice(line.indexOf(' ') + 1)
    // PostgreSQL, src/include/utils/pidfile.h: the process id, the data directory, the time, the port.
    const [pid, , , port] = (await readFile(join(directory, 'postmaster.pid'), 'utf8')).split('\n')
    if (port === db.port) return Number(pid)
  }
  throw new Error('no Postgres has the port of the clone')
}

/** True while somebody waits at its socket to be let in. */
async function isKnockedAt({ db }: Clone): Promise<boolean> {
  const { stdout } = await execute('ss', ['--no-header', '--listening', '--unix'])
  const line = stdout.split('\n').find((text) => text.includes(`.s.PGSQL.${db.port} `))
  return Number(line?.trim().split(/\s+/)[2] ?? 0) > 0
}
