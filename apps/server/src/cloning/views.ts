import type { Clone } from '@dblab/models'
import type { CloneRecord } from '../catalogue/clones.ts'
import { deepFreeze } from '../freeze.ts'
import { type CloneAddress, type CloneNow, toClone } from './view.ts'

const FACTS = Object.keys({
  starting: 0,
  down: 0,
  queuePosition: 0,
  diskQuota: 0,
} satisfies Record<keyof CloneNow, 0>) as readonly (keyof CloneNow)[]

/**
 * Clones as the wire has them, each made anew where its row was written or what is true of it at the moment is another. As long as neither is, it
 * is the same object, and nobody can change it: so what else was made of it, such as a digest, still holds.
 */
export class CloneViews {
  readonly #address: CloneAddress
  /** By row, which is another object once it was written; one that nobody has any more takes its view along. */
  readonly #made = new WeakMap<Readonly<CloneRecord>, { facts: CloneNow; view: Clone }>()

  constructor(address: CloneAddress) {
    this.#address = address
  }

  of(record: Readonly<CloneRecord>, now: CloneNow): Clone {
    const made = this.#made.get(record)
    if (made && isSame(made.facts, now)) return made.view
    // What is handed in may be somebody's own, who goes on changing it: so it is compared by what it holds, and the view is made of a copy.
    const facts = { ...now }
    const view = deepFreeze(toClone(record, this.#address, facts))
    this.#made.set(record, { facts, view })
    return view
  }
}

/** Facts are no objects, as their type says, so that to compare them leaves nothing behind: it is done for each clone of each list. */
function isSame(a: CloneNow, b: CloneNow): boolean {
  return FACTS.every((name) => a[name] === b[name])
}
