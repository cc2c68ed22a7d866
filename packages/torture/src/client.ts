import type { Clone, Snapshot } from '@dblab/models'
import { type Answer, Answers, type Circumstances, NoAnswer } from './answers.ts'
import type { Step } from './history.ts'
import type { TorturedLab } from './lab.ts'
import { postmasterOnPort } from './machine.ts'
import { CloneModel, NO_ROWS, type SnapshotModel } from './model.ts'
import { Sessions } from './sessions.ts'
import { Settling } from './settling.ts'
import { Violation } from './violation.ts'

/** Uses two clones and its own snapshots, one request after the other, and remembers what it was promised. */
export class Client {
  readonly name: string
  readonly clones: readonly CloneModel[]
  operations = 0
  readonly #snapshots: SnapshotModel[] = []
  readonly #lab: TorturedLab
  readonly #answers: Answers
  readonly #password: string
  readonly #sessions: Sessions
  readonly #settling: Settling
  #nextRow = 1
  #nextSnapshot = 1

  constructor(name: string, lab: TorturedLab, around: Circumstances) {
    this.name = name
    this.#lab = lab
    this.#answers = new Answers(lab, around)
    this.#password = `the password of ${name}`
    this.#sessions = new Sessions(this.#password)
    this.#settling = new Settling(this.#answers, this.#sessions, this.#snapshots)
    this.clones = [new CloneModel(`${name}-a`), new CloneModel(`${name}-b`)]
  }

  /**
   * Goes through the steps, and through them again as long as `again` says so. Ends early when the server goes away.
   */
  async play(script: readonly Step[], again: () => boolean): Promise<void> {
    try {
      do {
        for (const step of script) await this.#step(step)
        // Steps of which none applies ask for nothing, and would leave no time for anything else.
        if (again()) await this.#list()
      } while (again())
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
    }
  }

  /** Everything that was promised has come true. To be called while the server runs and suffers nothing. */
  async verify(): Promise<void> {
    for (const clone of this.clones) await this.#settling.settle(clone)
    const there = new Set((await this.#answers.read<Snapshot[]>('/snapshots')).map(({ id }) => id))
    for (const snapshot of this.#snapshots) {
      if (snapshot.presence === 'present' && !there.has(snapshot.id))
        throw new Violation('lost', `snapshot ${snapshot.id} is gone`)
      if (snapshot.presence === 'absent' && there.has(snapshot.id))
        throw new Violation('wrong', `snapshot ${snapshot.id} was deleted, and is there`)
      snapshot.presence = there.has(snapshot.id) ? 'present' : 'absent'
    }
    await this.endSessions()
  }

  /** Before the lab is stopped, and every Postgres with it. */
  async endSessions(): Promise<void> {
    await this.#sessions.endAll(() => true)
  }

  async deleteClones(): Promise<void> {
    for (const clone of this.clones) {
      if (clone.presence === 'absent') continue
      if (clone.isProtected) await this.#answers.expect('PATCH', `/clone/${clone.id}`, { protected: false }, 200)
      await this.#answers.expect('DELETE', `/clone/${clone.id}`, undefined, 202)
      clone.deleting = true
      await this.#settling.settle(clone)
    }
  }

  async deleteSnapshots(): Promise<void> {
    for (const { id, presence } of this.#snapshots.splice(0))
      if (presence !== 'absent') await this.#answers.expect('DELETE', `/snapshot/${id}`, undefined, 204)
  }

  async #step({ kind, slot, pick, hasty }: Step): Promise<void> {
    this.operations++
    if (kind === 'list') return this.#list()
    if (kind === 'base-snapshot') return this.#snapshot(undefined)
    if (kind === 'delete-snapshot') return this.#deleteSnapshot(pick)
    const clone = this.clones[slot % this.clones.length]
    if (!clone) return
    // A deletion comes in the middle of whatever is under way, too.
    if (kind !== 'delete' && !clone.settled) await this.#settling.settle(clone)
    const from = kind.endsWith('-snapshot') ? this.#known(pick) : undefined
    if (kind === 'create' || kind === 'create-from-snapshot') {
      if (clone.presence === 'absent') await this.#create(clone, from)
    } else if (clone.presence !== 'absent') await this.#change(kind, clone, { pick, from })
    if (!hasty && !clone.settled) await this.#settling.settle(clone)
  }

  async #change(kind: Step['kind'], clone: CloneModel, to: { pick: number; from: SnapshotModel | undefined }) {
    if (kind === 'delete') await this.#delete(clone)
    else if (kind === 'write') await this.#write(clone, to.pick + 1)
    else if (kind === 'hold-session') await this.#holdSession(clone)
    else if (kind === 'kill-postgres') await this.#killPostgres(clone)
    else if (kind === 'patch') await this.#protect(clone, to.pick % 2 === 0)
    else if (kind === 'snapshot') await this.#snapshot(clone)
    else await this.#reset(clone, to.from)
  }

  #known(pick: number): SnapshotModel | undefined {
    const present = this.#snapshots.filter(({ presence }) => presence === 'present')
    return present[pick % Math.max(present.length, 1)]
  }

  async #create(clone: CloneModel, from: SnapshotModel | undefined): Promise<void> {
    clone.asked(from?.rows ?? NO_ROWS)
    const db = { username: this.name, password: this.#password }
    const { status } = await this.#answers.ask('POST', '/clone', {
      id: clone.id,
      db,
      ...(from && { snapshot: from.id }),
    })
    if (status === 201) clone.presence = 'present'
    else if (status !== 500) throw new Violation('wrong', `a creation was answered with ${status}`)
  }

  async #delete(clone: CloneModel): Promise<void> {
    if (clone.isProtected !== false) await this.#protect(clone, false)
    await this.#sessions.endAll((held) => held === clone)
    const wasSure = clone.presence === 'present'
    clone.settled = false
    clone.presence = 'unsure'
    const { status } = await this.#answers.ask('DELETE', `/clone/${clone.id}`)
    if (status === 202) clone.deleting = true
    else if (status !== 500 && (status !== 404 || wasSure))
      throw new Violation('wrong', `the deletion of ${clone.id} was answered with ${status}`)
  }

  async #protect(clone: CloneModel, isProtected: boolean): Promise<void> {
    const isSure = clone.presence === 'present' && !clone.deleting
    clone.isProtected = undefined
    const { status } = await this.#answers.ask('PATCH', `/clone/${clone.id}`, { protected: isProtected })
    if (status === 200) clone.isProtected = isProtected
    // It may be on its way out, or gone.
    else if (status !== 500 && ((status !== 404 && status !== 409) || isSure))
      throw new Violation('wrong', `the change of ${clone.id} was answered with ${status}`)
  }

  async #reset(clone: CloneModel, to: SnapshotModel | undefined): Promise<void> {
    if (clone.isProtected !== false) await this.#protect(clone, false)
    const view = await this.#answers.clone(clone)
    const target = to ?? this.#snapshots.find(({ id }) => id === view?.snapshot)
    await this.#sessions.endAll((held) => held === clone)
    const rows = target?.rows ?? NO_ROWS
    clone.resetTo(rows)
    const { status } = await this.#answers.ask('POST', `/clone/${clone.id}/reset`, to && { snapshot: to.id })
    if (status === 202) clone.promised = rows
    else if (status !== 500) throw new Violation('wrong', `the reset of ${clone.id} was answered with ${status}`)
  }

  async #snapshot(of: CloneModel | undefined): Promise<void> {
    const snapshot: SnapshotModel = { id: `${this.name}-s${this.#nextSnapshot++}`, presence: 'unsure', rows: NO_ROWS }
    // Where snapshots are not atomic, the clone is stopped for it.
    if (of && !this.#lab.snapshotsAreAtomic) await this.#sessions.endAll((held) => held === of)
    if (of?.data[0]) snapshot.rows = of.data[0]
    this.#snapshots.push(snapshot)
    const { id } = snapshot
    const answer = await this.#answers.ask('POST', '/snapshot', { id, ...(of && { cloneId: of.id }) })
    const { status, code } = answer
    if (status === 201) snapshot.presence = 'present'
    else if (!mayRefuseSnapshot(answer, this.#answers.around))
      throw new Violation('wrong', `a snapshot was answered with ${status} ${code}`)
  }

  async #deleteSnapshot(pick: number): Promise<void> {
    const snapshot = this.#known(pick)
    if (!snapshot) return
    snapshot.presence = 'unsure'
    const { status } = await this.#answers.ask('DELETE', `/snapshot/${snapshot.id}`)
    if (status === 204) snapshot.presence = 'absent'
    // Clones stand on it.
    else if (status === 409) snapshot.presence = 'present'
    else if (status !== 500)
      throw new Violation('lost', `the deletion of snapshot ${snapshot.id} was answered with ${status}`)
  }

  async #list(): Promise<void> {
    const there = new Set((await this.#answers.read<Clone[]>('/clones')).map(({ id }) => id))
    for (const clone of this.clones) {
      if (there.has(clone.id)) clone.found()
      else if (clone.presence === 'present') throw new Violation('lost', `clone ${clone.id} is not in the list`)
    }
    await this.#answers.expect('GET', '/status', undefined, 200)
  }

  async #write(clone: CloneModel, count: number): Promise<void> {
    const rows = Array.from({ length: count }, () => this.#nextRow++)
    const view = await this.#viewOf(clone)
    clone.sent(rows)
    await this.#sessions.insert(clone, view, rows)
    clone.acknowledged(rows)
  }

  async #holdSession(clone: CloneModel): Promise<void> {
    if (!this.#sessions.holds(clone)) await this.#sessions.hold(clone, await this.#viewOf(clone), this.#nextRow++)
  }

  async #killPostgres(clone: CloneModel): Promise<void> {
    if (this.#sessions.holds(clone)) return
    const { db } = await this.#viewOf(clone)
    const pid = await postmasterOnPort(this.#lab.directory, Number(db.port))
    if (pid === undefined) return
    process.kill(pid, 'SIGKILL')
    clone.settled = false
  }

  async #viewOf(clone: CloneModel): Promise<Clone> {
    const view = await this.#answers.clone(clone)
    if (!view) throw new Violation('lost', `clone ${clone.id} is gone`)
    return view
  }
}

/**
 * Whether a snapshot may be refused so. Nothing a client does leaves a clone without its Postgres by the time that its snapshot is asked
 * for: one that does not answer then has suffered a failed step, or is a defect.
 */
export function mayRefuseSnapshot(
  { status, code }: Pick<Answer, 'status' | 'code'>,
  { failuresAllowed }: Circumstances,
): boolean {
  // More work than the server takes on at once: nothing is out of order.
  if (code === 'TOO_BUSY') return true
  return failuresAllowed && (status === 409 || status === 500 || code === 'STORAGE_UNAVAILABLE')
}
