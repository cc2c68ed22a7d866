import { setTimeout as delay } from 'node:timers/promises'
import type { Clone, Snapshot } from '@dblab/models'
import pg from 'pg'
import type { Step } from './history.ts'
import type { TorturedLab } from './lab.ts'
import { postmasterOnPort } from './machine.ts'
import { CloneModel, NO_ROWS, type Rows, type SnapshotModel } from './model.ts'
import { Violation } from './violation.ts'

/** Longer than anything that is under way may take, with a look at the clones and a recovery in it. */
const SETTLE_DEADLINE_MS = 90_000

/** The server went away in the middle of a request: whatever was asked may have been done or not. */
class NoAnswer extends Error {}

/** What a client is told of the faults that its lab suffers. */
export interface Circumstances {
  /** A step has been made to fail: then a clone may be FATAL, an operation end in an error, and a reset say that it failed. */
  failuresAllowed: boolean
}

interface Answer {
  status: number
  body: unknown
}

/** Uses two clones and its own snapshots, one request after the other, and remembers what it was promised. */
export class Client {
  readonly name: string
  readonly clones: readonly CloneModel[]
  readonly snapshots: SnapshotModel[] = []
  readonly #lab: TorturedLab
  readonly #around: Circumstances
  readonly #password: string
  readonly #sessions: { clone: CloneModel; session: pg.Client; row: number }[] = []
  #nextRow = 1
  #nextSnapshot = 1
  operations = 0

  constructor(name: string, lab: TorturedLab, around: Circumstances) {
    this.name = name
    this.#lab = lab
    this.#around = around
    this.#password = `the password of ${name}`
    this.clones = [new CloneModel(`${name}-a`), new CloneModel(`${name}-b`)]
  }

  /** Ends early when the server goes away. */
  async play(script: readonly Step[]): Promise<void> {
    try {
      for (const step of script) await this.#step(step)
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
    }
  }

  /** Everything that was promised has come true. To be called while the server runs and suffers nothing. */
  async verify(): Promise<void> {
    for (const clone of this.clones) await this.#settle(clone)
    const { body } = await this.#ask('GET', '/snapshots')
    const there = new Set((body as Snapshot[]).map(({ id }) => id))
    for (const snapshot of this.snapshots) {
      if (snapshot.presence === 'present' && !there.has(snapshot.id))
        throw new Violation('lost', `snapshot ${snapshot.id} is gone`)
      if (snapshot.presence === 'absent' && there.has(snapshot.id))
        throw new Violation('wrong', `snapshot ${snapshot.id} was deleted, and is there`)
      snapshot.presence = there.has(snapshot.id) ? 'present' : 'absent'
    }
    await this.#endSessions(() => true)
  }

  async deleteClones(): Promise<void> {
    for (const clone of this.clones) {
      if (clone.presence === 'absent') continue
      if (clone.isProtected) await this.#expect('PATCH', `/clone/${clone.id}`, { protected: false }, 200)
      await this.#expect('DELETE', `/clone/${clone.id}`, undefined, 202)
      clone.deleting = true
      clone.settled = false
      await this.#settle(clone)
    }
  }

  async deleteSnapshots(): Promise<void> {
    for (const snapshot of this.snapshots.splice(0)) {
      if (snapshot.presence !== 'absent') await this.#expect('DELETE', `/snapshot/${snapshot.id}`, undefined, 204)
    }
  }

  async #step({ kind, slot, pick, hasty }: Step): Promise<void> {
    const clone = this.clones[slot % this.clones.length]
    if (!clone) return
    this.operations++
    if (kind === 'list') return this.#list()
    if (kind === 'base-snapshot') return this.#snapshot(undefined)
    if (kind === 'delete-snapshot') return this.#deleteSnapshot(pick)
    const snapshot = kind.endsWith('-snapshot') ? this.#known(pick) : undefined
    if (kind.startsWith('create')) {
      if (!clone.settled) await this.#settle(clone)
      if (clone.presence === 'absent') await this.#create(clone, snapshot)
    } else if (kind === 'delete') {
      // In the middle of whatever is under way for it, too.
      if (clone.presence !== 'absent') await this.#delete(clone)
    } else {
      if (!clone.settled) await this.#settle(clone)
      if (clone.presence === 'absent') return
      if (kind === 'write') await this.#write(clone, pick + 1)
      else if (kind === 'hold-session') await this.#holdSession(clone)
      else if (kind === 'kill-postgres') await this.#killPostgres(clone)
      else if (kind === 'patch') await this.#patch(clone, pick % 2 === 0)
      else if (kind === 'snapshot') await this.#snapshot(clone)
      else await this.#reset(clone, snapshot)
    }
    if (!hasty && !clone.settled) await this.#settle(clone)
  }

  #known(pick: number): SnapshotModel | undefined {
    const present = this.snapshots.filter(({ presence }) => presence === 'present')
    return present[pick % Math.max(present.length, 1)]
  }

  async #create(clone: CloneModel, from: SnapshotModel | undefined): Promise<void> {
    clone.presence = 'unsure'
    clone.settled = false
    clone.data = [from?.rows ?? NO_ROWS]
    const db = { username: this.name, password: this.#password }
    const { status } = await this.#ask('POST', '/clone', { id: clone.id, db, ...(from && { snapshot: from.id }) })
    if (status === 201) clone.presence = 'present'
    else if (status !== 500) throw new Violation('wrong', `a creation was answered with ${status}`)
  }

  async #delete(clone: CloneModel): Promise<void> {
    if (clone.isProtected !== false) await this.#patch(clone, false)
    await this.#endSessions((held) => held === clone)
    clone.settled = false
    const before = clone.presence
    clone.presence = 'unsure'
    const { status } = await this.#ask('DELETE', `/clone/${clone.id}`)
    if (status === 202) clone.deleting = true
    // It was not sure to be there.
    else if (status !== 500 && !(status === 404 && before === 'unsure'))
      throw new Violation('wrong', `the deletion of ${clone.id} was answered with ${status}`)
  }

  async #patch(clone: CloneModel, isProtected: boolean): Promise<void> {
    clone.isProtected = undefined
    const { status } = await this.#ask('PATCH', `/clone/${clone.id}`, { protected: isProtected })
    if (status === 200) clone.isProtected = isProtected
    // It was not sure to be there, or is on its way out.
    else if (
      !(status === 404 && clone.presence === 'unsure') &&
      !(status === 409 && (clone.deleting || clone.presence === 'unsure')) &&
      status !== 500
    )
      throw new Violation('wrong', `the change of ${clone.id} was answered with ${status}`)
  }

  async #reset(clone: CloneModel, to: SnapshotModel | undefined): Promise<void> {
    if (clone.isProtected !== false) await this.#patch(clone, false)
    const view = await this.#view(clone)
    const target = to ?? this.snapshots.find(({ id }) => id === view?.snapshot)
    await this.#endSessions((held) => held === clone)
    const rows: Rows = target?.rows ?? NO_ROWS
    const before = clone.data
    clone.data = [...before, rows]
    clone.settled = false
    const { status } = await this.#ask('POST', `/clone/${clone.id}/reset`, to && { snapshot: to.id })
    if (status === 202) clone.promised = rows
    else if (status === 500) return
    else throw new Violation('wrong', `the reset of ${clone.id} was answered with ${status}`)
  }

  async #snapshot(of: CloneModel | undefined): Promise<void> {
    const id = `${this.name}-s${this.#nextSnapshot++}`
    const snapshot: SnapshotModel = { id, presence: 'unsure', rows: of?.data[0] ?? NO_ROWS }
    this.snapshots.push(snapshot)
    if (of && this.#lab.options.driver !== 'btrfs' && this.#lab.options.driver !== 'zfs') {
      // Where snapshots are not atomic, the clone is stopped for it.
      await this.#endSessions((held) => held === of)
      of.settled = false
    }
    const { status } = await this.#ask('POST', '/snapshot', { id, ...(of && { cloneId: of.id }) })
    if (status === 201) snapshot.presence = 'present'
    else if (!(this.#around.failuresAllowed && (status === 409 || status === 500)) && status !== 503)
      throw new Violation('wrong', `a snapshot was answered with ${status}`)
  }

  async #deleteSnapshot(pick: number): Promise<void> {
    const snapshot = this.#known(pick)
    if (!snapshot) return
    snapshot.presence = 'unsure'
    const { status } = await this.#ask('DELETE', `/snapshot/${snapshot.id}`)
    if (status === 204) snapshot.presence = 'absent'
    // Clones stand on it.
    else if (status === 409) snapshot.presence = 'present'
    else if (status !== 500)
      throw new Violation('lost', `the deletion of snapshot ${snapshot.id} was answered with ${status}`)
  }

  async #list(): Promise<void> {
    const { body } = await this.#ask('GET', '/clones')
    const there = new Set((body as Clone[]).map(({ id }) => id))
    for (const { id, presence } of this.clones)
      if (presence === 'present' && !there.has(id)) throw new Violation('lost', `clone ${id} is not in the list`)
    await this.#ask('GET', '/status')
  }

  async #write(clone: CloneModel, count: number): Promise<void> {
    const rows = Array.from({ length: count }, () => this.#nextRow++)
    const [{ must, may } = NO_ROWS] = clone.data
    clone.data = [{ must, may: new Set([...may, ...rows]) }]
    await this.#inClone(clone, async (session) => {
      await session.query('CREATE TABLE IF NOT EXISTS torture (v int PRIMARY KEY)')
      await session.query('INSERT INTO torture SELECT unnest($1::int[])', [rows])
    })
    clone.data = [{ must: new Set([...must, ...rows]), may: new Set([...may, ...rows]) }]
  }

  /** A session with a transaction that stays open over whatever happens to the server. */
  async #holdSession(clone: CloneModel): Promise<void> {
    if (this.#sessions.some((held) => held.clone === clone)) return
    const row = this.#nextRow++
    const session = await this.#connect(clone)
    await session.query('CREATE TABLE IF NOT EXISTS torture (v int PRIMARY KEY)')
    await session.query('BEGIN')
    await session.query('INSERT INTO torture VALUES ($1)', [row])
    this.#sessions.push({ clone, session, row })
  }

  /** Nothing but the client's own requests may have ended them. */
  async #endSessions(which: (clone: CloneModel) => boolean): Promise<void> {
    for (const held of [...this.#sessions]) {
      const { clone, session, row } = held
      if (!which(clone)) continue
      this.#sessions.splice(this.#sessions.indexOf(held), 1)
      try {
        clone.data = clone.data.map(({ must, may }) => ({ must, may: new Set([...may, row]) }))
        await session.query('COMMIT')
        clone.data = clone.data.map(({ must, may }) => ({ must: new Set([...must, row]), may }))
        await session.end()
      } catch (error) {
        throw new Violation('lost', `an open session of clone ${clone.id} was broken: ${String(error)}`)
      }
    }
  }

  async #killPostgres(clone: CloneModel): Promise<void> {
    if (this.#sessions.some((held) => held.clone === clone)) return
    const view = await this.#view(clone)
    const pid = view && (await postmasterOnPort(this.#lab.directory, Number(view.db.port)))
    if (pid === undefined) return
    process.kill(pid, 'SIGKILL')
    clone.settled = false
  }

  /** Waits until nothing is under way for the clone, and compares it with what was promised. */
  async #settle(clone: CloneModel): Promise<void> {
    const deadline = Date.now() + SETTLE_DEADLINE_MS
    for (;;) {
      const { status, body } = await this.#ask('GET', `/clone/${clone.id}?wait=20`)
      if (status === 404) return this.#settleAbsent(clone)
      const view = body as Clone
      const seen = await this.#settledAs(clone, view)
      if (seen) return
      if (Date.now() > deadline) {
        const { code, message } = view.status
        throw new Violation('stuck', `clone ${clone.id} is ${code} for too long, or does not answer: ${message}`)
      }
      await delay(200)
    }
  }

  #settleAbsent(clone: CloneModel): void {
    if (clone.presence === 'present' && !clone.deleting) throw new Violation('lost', `clone ${clone.id} is gone`)
    clone.gone()
  }

  /** False when it is to be looked at again. */
  async #settledAs(clone: CloneModel, view: Clone): Promise<boolean> {
    const { code, message } = view.status
    if (code !== 'OK' && code !== 'FATAL') return false
    if (code === 'FATAL') {
      if (!this.#around.failuresAllowed && !/will be tried again/.test(message))
        throw new Violation('wrong', `clone ${clone.id} is FATAL: ${message}`)
      if (/will be tried again/.test(message)) return false
      return this.#heal(clone)
    }
    if (clone.deleting) throw new Violation('wrong', `clone ${clone.id} was deleted, and is there`)
    if (view.resetFailedAt !== '' && !this.#around.failuresAllowed)
      throw new Violation('wrong', `the reset of ${clone.id} failed: ${message}`)
    if (clone.promised && view.resetFailedAt === '') clone.data = [clone.promised]
    const rows = await this.#rowsOf(clone, view)
    if (!rows) return false
    clone.promised = undefined
    clone.presence = 'present'
    if (clone.isProtected !== undefined && clone.isProtected !== view.protected)
      throw new Violation('lost', `clone ${clone.id} has lost a change of its protection`)
    clone.isProtected = view.protected
    clone.see(rows)
    return true
  }

  /** A failure that was made to happen has left it FATAL: a reset, or a deletion, must help. */
  async #heal(clone: CloneModel): Promise<boolean> {
    clone.presence = 'present'
    if (clone.deleting) {
      await this.#ask('DELETE', `/clone/${clone.id}`)
      return false
    }
    const view = await this.#view(clone)
    if (view?.protected) await this.#ask('PATCH', `/clone/${clone.id}`, { protected: false })
    clone.isProtected = undefined
    const { status } = await this.#ask('POST', `/clone/${clone.id}/reset`)
    if (status !== 202) throw new Violation('stuck', `the reset of a FATAL clone was answered with ${status}`)
    const from = this.snapshots.find(({ id }) => id === view?.snapshot)
    clone.promised = from?.rows ?? NO_ROWS
    clone.data = [...clone.data, clone.promised]
    return false
  }

  /** Undefined when its Postgres does not answer, which it may not for a while. */
  async #rowsOf(clone: CloneModel, view: Clone): Promise<Set<number> | undefined> {
    let session: pg.Client
    try {
      session = await this.#connectTo(view)
    } catch (error) {
      if (
        error instanceof Error &&
        'code' in error &&
        ['ECONNREFUSED', 'ECONNRESET', '57P03'].includes(String(error.code))
      )
        return undefined
      throw new Violation('wrong', `nobody can log in to clone ${clone.id}: ${String(error)}`)
    }
    try {
      const { rows: found } = await session.query(`SELECT to_regclass('torture') IS NOT NULL AS there`)
      if (!found[0].there) return new Set()
      const { rows } = await session.query<{ v: number }>('SELECT v FROM torture')
      return new Set(rows.map(({ v }) => v))
    } finally {
      await session.end()
    }
  }

  async #inClone(clone: CloneModel, work: (session: pg.Client) => Promise<void>): Promise<void> {
    const session = await this.#connect(clone)
    try {
      await work(session)
    } catch (error) {
      throw new Violation('wrong', `a session of clone ${clone.id} was broken: ${String(error)}`)
    } finally {
      await session.end()
    }
  }

  async #connect(clone: CloneModel): Promise<pg.Client> {
    const view = await this.#view(clone)
    if (!view) throw new Violation('lost', `clone ${clone.id} is gone`)
    return this.#connectTo(view)
  }

  async #connectTo({ db }: Clone): Promise<pg.Client> {
    const url = new URL(db.connStr)
    url.password = this.#password
    const session = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 20_000 })
    // A connection that breaks between two queries fails the next one.
    session.on('error', () => {})
    await session.connect()
    return session
  }

  async #view(clone: CloneModel): Promise<Clone | undefined> {
    const { status, body } = await this.#ask('GET', `/clone/${clone.id}`)
    return status === 200 ? (body as Clone) : undefined
  }

  async #expect(method: string, path: string, body: unknown, wanted: number): Promise<void> {
    const { status } = await this.#ask(method, path, body)
    if (status !== wanted) throw new Violation('wrong', `${method} ${path} was answered with ${status}`)
  }

  /** @throws NoAnswer; Violation for a failure of the server that nothing called for */
  async #ask(method: string, path: string, body?: unknown): Promise<Answer> {
    for (;;) {
      let answer: Answer
      try {
        answer = await this.#lab.request(method, path, body)
      } catch (error) {
        if (error instanceof DOMException && error.name === 'TimeoutError')
          throw new Violation('stuck', `${method} ${path} is not answered`)
        throw new NoAnswer(`${method} ${path}`, { cause: error })
      }
      if (answer.status === 500 && !this.#around.failuresAllowed)
        throw new Violation('wrong', `${method} ${path} was answered with 500`)
      const code = (answer.body as { code?: string } | undefined)?.code
      if (code === 'SHUTTING_DOWN') throw new NoAnswer(`${method} ${path}`)
      return answer
    }
  }
}
