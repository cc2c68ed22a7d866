import type { Clone } from '@dblab/models'
import { Violation } from './violation.ts'

/** Rows of a clone's table: those that were acknowledged must be there, those that were only sent may be. */
export interface Rows {
  must: ReadonlySet<number>
  may: ReadonlySet<number>
}

export const NO_ROWS: Rows = { must: new Set(), may: new Set() }

/** Whether something is there, as far as the answers say; `unsure` where an answer never came, or was that of a failure. */
export type Presence = 'absent' | 'present' | 'unsure'

/** A snapshot that a client has asked for. */
export interface SnapshotModel {
  id: string
  presence: Presence
  rows: Rows
}

/** What a client knows of a clone that it has asked for, from nothing but the answers that it got. */
export class CloneModel {
  readonly id: string
  presence: Presence = 'absent'
  /** A deletion was promised. */
  deleting = false
  /** What it holds is one of these; more than one where the answer to a reset never came. */
  data: Rows[] = [NO_ROWS]
  /** A reset was promised: what the data becomes, unless the clone says that the reset failed. */
  promised: Rows | undefined
  /** As the last answer said it; undefined where none did. */
  isProtected: boolean | undefined = false
  /** When its last reset failed, as it said when it was last seen; empty for never. */
  resetFailedAt = ''
  /** True when nothing has happened to it since it was last seen whole. */
  settled = true

  constructor(id: string) {
    this.id = id
  }

  /** A creation is about to be asked for. */
  asked(rows: Rows): void {
    this.presence = 'unsure'
    this.settled = false
    this.data = [rows]
  }

  /** The server has it. @throws Violation where an answer has said before that it has not, and nobody has asked for it since */
  found(): void {
    if (this.presence === 'absent') throw new Violation('wrong', `clone ${this.id} was deleted, and is there`)
  }

  /** They may be there from now on. */
  sent(rows: readonly number[]): void {
    this.data = this.data.map(({ must, may }) => ({ must, may: new Set([...may, ...rows]) }))
  }

  /** They must be there from now on. */
  acknowledged(rows: readonly number[]): void {
    this.data = this.data.map(({ must, may }) => ({ must: new Set([...must, ...rows]), may }))
  }

  /** A reset is about to be asked for. */
  resetTo(rows: Rows): void {
    this.data = [...this.data, rows]
    this.settled = false
  }

  /** The last reset left it with the data from before, and says when. */
  resetFailed(at: string): void {
    if (this.data.length > 1) this.data = this.data.slice(0, -1)
    this.promised = undefined
    this.resetFailedAt = at
  }

  /** Compares what is there with what may be, and goes on from that. @throws Violation */
  see(rows: ReadonlySet<number>, view: Pick<Clone, 'protected' | 'resetFailedAt'>): void {
    const fits = this.data.some(({ must, may }) => isSubset(must, rows) && isSubset(rows, may))
    if (!fits) {
      const expected = this.data.map(({ must, may }) => `${show(must)} to ${show(may)}`).join(', or ')
      throw new Violation('lost', `clone ${this.id} holds ${show(rows)}, and should hold ${expected}`)
    }
    this.presence = 'present'
    this.data = [{ must: rows, may: rows }]
    this.promised = undefined
    this.isProtected = view.protected
    this.resetFailedAt = view.resetFailedAt
    this.settled = true
  }

  /** It is not there, and may be asked for again. */
  gone(): void {
    this.presence = 'absent'
    this.deleting = false
    this.data = [NO_ROWS]
    this.promised = undefined
    this.isProtected = false
    this.resetFailedAt = ''
    this.settled = true
  }
}

function isSubset(some: ReadonlySet<number>, all: ReadonlySet<number>): boolean {
  for (const each of some) if (!all.has(each)) return false
  return true
}

function show(rows: ReadonlySet<number>): string {
  return `{${[...rows].sort((a, b) => a - b).join(' ')}}`
}
