import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clone, Snapshot, Error as WireError } from '@dblab/models'
import { expect } from 'vitest'
import { createClone, LOGIN, urlOf } from '../support/clones.ts'
import { eventually, TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'
import type { SmallPool } from './pools.ts'
import { Reader, Writer } from './traffic.ts'

/** How an operation ended: well, or without space, at this step of it. */
export type Outcome = 'done' | `no space: ${string}`

const SPACE = /Not enough disk space \(NOT_ENOUGH_DISK_SPACE\): .*(pool|disk|quota|cloning|snapshot|making).*\./s

/** A lab on a small pool, with a writer and a reader at work, whose pool is filled and emptied. */
export class FullPool implements AsyncDisposable {
  readonly lab: TestLab
  readonly pool: SmallPool
  readonly outcomes: Record<'create' | 'reset' | 'snapshot of a clone' | 'snapshot of the base', Outcome[]> = {
    create: [],
    reset: [],
    'snapshot of a clone': [],
    'snapshot of the base': [],
  }
  #writer: Writer | undefined
  #reader: Reader | undefined
  #made = 0
  #others = 0

  private constructor(lab: TestLab, pool: SmallPool) {
    this.lab = lab
    this.pool = pool
  }

  static async make(pool: SmallPool): Promise<FullPool> {
    const lab = await TestLab.make(pool.options)
    await lab.start()
    const full = new FullPool(lab, pool)
    await full.#fillWithLife()
    return full
  }

  async #fillWithLife(): Promise<void> {
    const clones: Record<string, Clone> = {}
    for (const id of ['written', 'read', 'other', 'small', 'large']) {
      clones[id] = await createClone(this.lab, { id })
      expect(clones[id].status).toMatchObject({ code: 'OK' })
    }
    const url = (id: string) => urlOf(clones[id] as Clone)
    // What is freed when this one is deleted, on a pool that is full to the last byte.
    await query(
      url('large'),
      `CREATE TABLE large AS SELECT (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 32) j) AS filling
       FROM generate_series(1, 50000) i`,
    )
    this.#writer = new Writer(url('written'))
    this.#reader = new Reader(url('read'))
    await this.#reader.start()
    this.#others = (await this.pool.content()).length - Object.keys(clones).length
  }

  /** From now on somebody takes room all the time. */
  async beginToWrite(): Promise<void> {
    await this.#writer?.start()
  }

  /** One of each operation. Each ends in success, or in a lack of space that is named; what was made goes again. */
  async tryAll(): Promise<void> {
    await this.tryCreate()
    await this.#tryReset()
    await this.#trySnapshot('snapshot of a clone', { cloneId: 'other' })
    await this.#trySnapshot('snapshot of the base', {})
  }

  async tryCreate(): Promise<void> {
    const id = `new-${this.#made++}`
    const answer = await this.lab.fetch('/clone?wait=60', { method: 'POST', json: { id, db: LOGIN } })
    if (answer.status === 507) {
      this.outcomes.create.push(`no space: ${await codeOf(answer)}`)
      expect(await this.#status(id)).toBe(404)
      return
    }
    const { status } = (await answer.json()) as Clone
    if (status.code === 'OK') this.outcomes.create.push('done')
    else {
      if (status.code !== 'FATAL') throw new Error(`${id} is ${status.code}\n${await this.#story()}`)
      expect(status.message).toMatch(SPACE)
      this.outcomes.create.push(`no space: ${this.#lastStep(id)}`)
    }
    await this.delete(id)
  }

  async #tryReset(): Promise<void> {
    const answer = await this.lab.fetch('/clone/other/reset?wait=60', { method: 'POST' })
    if (answer.status === 507) {
      this.outcomes.reset.push(`no space: ${await codeOf(answer)}`)
      return
    }
    const clone = (await answer.json()) as Clone
    if (clone.resetFailedAt === '' && clone.status.code === 'OK') this.outcomes.reset.push('done')
    else {
      expect(clone.status.message).toMatch(SPACE)
      this.outcomes.reset.push('no space: reset')
    }
  }

  async #trySnapshot(what: 'snapshot of a clone' | 'snapshot of the base', json: object): Promise<void> {
    const answer = await this.lab.fetch('/snapshot', { method: 'POST', json })
    if (answer.status === 201) {
      this.outcomes[what].push('done')
      const { id } = (await answer.json()) as Snapshot
      expect((await this.lab.fetch(`/snapshot/${id}`, { method: 'DELETE' })).status).toBeLessThan(300)
      return
    }
    const error = (await answer.json()) as WireError
    // A clone whose Postgres a lack of space has ended is no one to take a snapshot of.
    const down = what === 'snapshot of a clone' && error.code === 'CLONE_NOT_READY'
    if (!down) expect([answer.status, error.code]).toEqual([507, 'NOT_ENOUGH_DISK_SPACE'])
    this.outcomes[what].push(`no space: ${error.code}`)
  }

  async delete(id: string): Promise<void> {
    expect((await this.lab.fetch(`/clone/${id}`, { method: 'DELETE' })).status).toBe(202)
    await eventually(`${id} is gone`, async () => (await this.#status(id)) === 404)
  }

  /** Once there is room: everything runs, and nothing is in the pool that was not there at first. */
  async expectWhole(): Promise<void> {
    for (const id of ['written', 'read', 'other']) await this.#eventuallyRuns(id)
    const clones = (await (await this.lab.fetch('/clones')).json()) as Clone[]
    // What does not belong to a clone was there when the lab was made.
    const expected = this.#others + clones.length
    await eventually('nothing half made is left', async () => (await this.pool.content()).length === expected, 30_000)
  }

  /** On a pool that is full, one clone is deleted; then everything works again, by itself. */
  async deleteOnFull(): Promise<void> {
    await this.pool.leave(0)
    await this.delete('large')
    await this.expectWhole()
    const before = this.#writer?.acknowledged ?? 0
    const goesOn = () => (this.#writer?.acknowledged ?? 0) > before + 10
    await eventually('the writer goes on', goesOn, 60_000).catch((error: unknown) => {
      const said = this.#writer?.refusals.slice(-3).join('; ')
      throw new Error(`it was last told: ${said}\n${this.lab.output.slice(-3000)}`, { cause: error })
    })
  }

  /** Where not even a name can be made, a clone can be deleted. */
  async deleteWithoutNames(): Promise<void> {
    await this.pool.leave(0)
    await this.pool.leaveNoNames()
    await this.delete('small')
  }

  /** While no server runs, which an import wants; the clones go on. */
  async importOnFull(): Promise<void> {
    await this.lab.interrupt()
    const dump = join(this.lab.directory, 'dump.sql')
    await writeFile(dump, 'CREATE TABLE filled AS SELECT i, md5(i::text) FROM generate_series(1, 3000000) i;\n')
    // Nothing can be made; a cluster can't; its data can't.
    for (const bytes of [0, 8 * 2 ** 20, 100 * 2 ** 20]) {
      await this.pool.leave(bytes)
      const { code, stderr } = await this.lab.run(['start', '--import', dump])
      expect([code, stderr]).toEqual([1, expect.stringContaining('Not enough disk space (NOT_ENOUGH_DISK_SPACE): ')])
      await this.pool.release()
    }
    await this.lab.start()
    await this.expectWhole()
  }

  /** The reader noticed nothing, and no row that was acknowledged is lost. */
  async endOfTraffic(): Promise<{ rows: number; refusals: readonly string[]; answers: number }> {
    const [writer, reader] = [this.#writer, this.#reader]
    if (!writer || !reader) throw new Error('there is no traffic')
    await this.#eventuallyRuns('written')
    await writer.stop()
    expect(await writer.lost()).toBe(0)
    const answers = await reader.stop().catch(async (error: unknown) => {
      throw new Error(`a reader was disturbed: ${error}\n${await this.#story()}`, { cause: error })
    })
    return { rows: writer.acknowledged, refusals: [...new Set(writer.refusals)], answers }
  }

  /** What the server, since it was last started, and each Postgres said. */
  async #story(): Promise<string> {
    const instances = join(this.lab.directory, '.dblab/postgres/instances')
    const logs = (await readdir(instances)).map(async (id) => {
      const log = await readFile(join(instances, id, 'postgres.log'), 'utf8').catch(() => '')
      return `--- ${id}\n${log}`
    })
    return [this.lab.output, ...(await Promise.all(logs))].join('\n')
  }

  async #eventuallyRuns(id: string): Promise<void> {
    await eventually(`${id} runs`, async () => (await this.#clone(id)).status.code === 'OK', 90_000).catch(
      async (error: unknown) => {
        throw new Error(`${JSON.stringify((await this.#clone(id)).status)}`, { cause: error })
      },
    )
  }

  async #clone(id: string): Promise<Clone> {
    return (await (await this.lab.fetch(`/clone/${id}`)).json()) as Clone
  }

  async #status(id: string): Promise<number> {
    return (await this.lab.fetch(`/clone/${id}`)).status
  }

  /** The step at which a creation failed, as the server's log has it. */
  #lastStep(id: string): string {
    const steps = [...this.lab.output.matchAll(new RegExp(`creating a clone .*clone=${id} step=(\\w+)`, 'g'))]
    return steps.at(-1)?.[1] ?? 'none'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer?.stop()
    await this.#reader?.stop().catch(() => {})
    await this.pool.release()
    await this.lab[Symbol.asyncDispose]()
  }
}

async function codeOf(answer: Response): Promise<string> {
  const { code } = (await answer.json()) as WireError
  expect(code).toBe('NOT_ENOUGH_DISK_SPACE')
  return code
}
