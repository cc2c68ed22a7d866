import { setTimeout as delay } from 'node:timers/promises'
import type { Clone } from '@dblab/models'
import type { Answers } from './answers.ts'
import { type CloneModel, NO_ROWS, type SnapshotModel } from './model.ts'
import type { Sessions } from './sessions.ts'
import { Violation } from './violation.ts'

/** Longer than anything that is under way may take, with a look at the clones and a recovery in it. */
const SETTLE_DEADLINE_MS = 90_000

/** Waits until nothing is under way for a clone, and compares it with what was promised. */
export class Settling {
  readonly #answers: Pick<Answers, 'around' | 'ask' | 'expect'>
  readonly #sessions: Pick<Sessions, 'rowsOf'>
  readonly #snapshots: readonly SnapshotModel[]

  constructor(
    answers: Pick<Answers, 'around' | 'ask' | 'expect'>,
    sessions: Pick<Sessions, 'rowsOf'>,
    snapshots: readonly SnapshotModel[],
  ) {
    this.#answers = answers
    this.#sessions = sessions
    this.#snapshots = snapshots
  }

  /** @throws Violation; NoAnswer when the server goes down meanwhile */
  async settle(clone: CloneModel): Promise<void> {
    const deadline = Date.now() + SETTLE_DEADLINE_MS
    let helped = false
    for (;;) {
      const { status, body } = await this.#answers.ask('GET', `/clone/${clone.id}?wait=20`)
      if (status === 404) return absent(clone)
      if (status !== 200) throw new Violation('wrong', `a look at clone ${clone.id} was answered with ${status}`)
      clone.found()
      const view = body as Clone
      const { code, message } = view.status
      if (code === 'FATAL' && !/will be tried again/.test(message)) {
        // One step was made to fail, and has.
        if (helped) throw new Violation('stuck', `clone ${clone.id} is FATAL after it was helped: ${message}`)
        await this.#help(clone, view)
        helped = true
      } else if (await this.#settledAs(clone, view)) return
      if (Date.now() > deadline)
        throw new Violation('stuck', `clone ${clone.id} is ${code} for too long, or does not answer: ${message}`)
      await delay(200)
    }
  }

  /** False when it is to be looked at again. */
  async #settledAs(clone: CloneModel, view: Clone): Promise<boolean> {
    const { code, message } = view.status
    if (code !== 'OK') return false
    if (clone.deleting) throw new Violation('wrong', `clone ${clone.id} was deleted, and is there`)
    // What failed while it was allowed to stays written in the clone until the next reset.
    const failed = view.resetFailedAt !== '' && view.resetFailedAt !== clone.resetFailedAt
    if (failed && !this.#answers.around.failuresAllowed)
      throw new Violation('wrong', `the reset of ${clone.id} failed: ${message}`)
    if (failed) clone.resetFailed(view.resetFailedAt)
    else if (clone.promised) clone.data = [clone.promised]
    const rows = await this.#sessions.rowsOf(clone, view)
    if (!rows) return false
    if (clone.isProtected !== undefined && clone.isProtected !== view.protected)
      throw new Violation('lost', `clone ${clone.id} has lost a change of its protection`)
    clone.see(rows, view)
    return true
  }

  /** Only a failure that was made to happen leaves a clone so; a reset, or a deletion, must help. */
  async #help(clone: CloneModel, view: Clone): Promise<void> {
    if (!this.#answers.around.failuresAllowed)
      throw new Violation('wrong', `clone ${clone.id} is FATAL: ${view.status.message}`)
    clone.presence = 'present'
    if (clone.deleting) return this.#answers.expect('DELETE', `/clone/${clone.id}`, undefined, 202)
    if (view.protected) await this.#answers.ask('PATCH', `/clone/${clone.id}`, { protected: false })
    clone.isProtected = undefined
    const { status } = await this.#answers.ask('POST', `/clone/${clone.id}/reset`)
    if (status !== 202) throw new Violation('stuck', `the reset of a FATAL clone was answered with ${status}`)
    const rows = this.#snapshots.find(({ id }) => id === view.snapshot)?.rows ?? NO_ROWS
    clone.resetTo(rows)
    clone.promised = rows
  }
}

function absent(clone: CloneModel): void {
  if (clone.presence === 'present' && !clone.deleting) throw new Violation('lost', `clone ${clone.id} is gone`)
  clone.gone()
}
