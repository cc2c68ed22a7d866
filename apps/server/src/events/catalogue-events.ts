import type { Clone } from '@dblab/models'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import type { Logger } from '../log.ts'
import { toSnapshot, usersOf } from '../snapshots/snapshot-service.ts'
import type { EventHub } from './event-hub.ts'

export interface CatalogueEventsOptions {
  catalogue: Catalogue
  /** A clone that is there, as the API shows it. */
  viewOf: (id: string) => Clone
  hub: EventHub
  log: Logger
}

/** What was told of a clone last. */
interface KnownClone {
  view: string
  owner: string | null
  createdAt: string
  /** The snapshots that count it. */
  standsOn: string[]
}

interface KnownSnapshot {
  view: string
  cloneId: string
}

/**
 * Tells what becomes of clones and snapshots. Whoever writes a row need not think of it: the catalogue says which rows were written. They are
 * looked at when what runs now has ended, so after the commit, and told of where they are shown as another than was told last: several writes
 * may be one event, a write that was rolled back or changes nothing that is shown is none.
 *
 * A snapshot's `numClones` is part of it: whoever reads once and follows the events has what the lists say. But for one thing: that a clone moves
 * up in the queue is no event of its own, since each that leaves the queue moves all that wait.
 */
export class CatalogueEvents implements Disposable {
  readonly #options: CatalogueEventsOptions
  readonly #clones = new Map<string, KnownClone>()
  readonly #snapshots = new Map<string, KnownSnapshot>()
  readonly #writtenClones = new Set<string>()
  readonly #writtenSnapshots = new Set<string>()
  #isDue = false
  #isClosed = false

  /** What is there already is known, and not told. */
  constructor(options: CatalogueEventsOptions) {
    this.#options = options
    const { catalogue, hub } = options
    const records = catalogue.clones.list()
    for (const record of records) this.#clones.set(record.id, this.#known(record))
    for (const { id } of catalogue.snapshots.listPublished()) {
      const known = this.#shownSnapshot(id, records)
      if (known) this.#snapshots.set(id, { view: JSON.stringify(known), cloneId: known.cloneId })
    }
    catalogue.watchRows((table, id) => {
      if (table === 'clones') this.mayHaveChanged(id)
      else if (table === 'snapshots') this.#note(this.#writtenSnapshots, id)
      // Whoever reads with a token that was revoked is to be cut off now.
      else setImmediate(() => hub.wake())
    })
  }

  /** For what is true of a clone and in no row: that its Postgres starts again, is down, or that its turn has come. */
  mayHaveChanged(cloneId: string): void {
    this.#note(this.#writtenClones, cloneId)
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
  }

  #note(written: Set<string>, id: string): void {
    written.add(id)
    if (this.#isDue) return
    this.#isDue = true
    setImmediate(() => this.#tell())
  }

  #tell(): void {
    this.#isDue = false
    if (this.#isClosed) return
    const clones = [...this.#writtenClones]
    this.#writtenClones.clear()
    try {
      for (const id of clones) this.#tellClone(id)
      const snapshots = [...this.#writtenSnapshots]
      this.#writtenSnapshots.clear()
      const records = snapshots.length > 0 ? this.#options.catalogue.clones.list() : []
      for (const id of snapshots) this.#tellSnapshot(id, records)
    } catch (error) {
      for (const id of clones) this.#writtenClones.add(id)
      this.#options.log.error('changes could not be told; whoever follows them is to read everything anew', { error })
      this.#options.hub.lose()
    }
  }

  #tellClone(id: string): void {
    const { catalogue, hub } = this.#options
    const record = catalogue.clones.get(id)
    const before = this.#clones.get(id)
    // Another one of its name may be there already, and be somebody else's.
    if (before && before.createdAt !== record?.createdAt) {
      this.#clones.delete(id)
      for (const snapshot of before.standsOn) this.#writtenSnapshots.add(snapshot)
      hub.publish({ type: 'clone', action: 'deleted', subject: id }, { owner: before.owner, clone: id })
    }
    if (!record) return
    const known = this.#known(record)
    const same = before?.createdAt === record.createdAt ? before : undefined
    this.#clones.set(id, known)
    for (const snapshot of differing(same?.standsOn ?? [], known.standsOn)) this.#writtenSnapshots.add(snapshot)
    if (known.view === same?.view) return
    const clone = JSON.parse(known.view) as Clone
    hub.publish({ type: 'clone', action: 'changed', subject: id, clone }, { owner: record.tokenId, clone: id })
  }

  #tellSnapshot(id: string, clones: CloneRecord[]): void {
    const { hub } = this.#options
    const snapshot = this.#shownSnapshot(id, clones)
    const before = this.#snapshots.get(id)
    if (!snapshot) {
      if (!this.#snapshots.delete(id)) return
      hub.publish({ type: 'snapshot', action: 'deleted', subject: id }, { clone: before?.cloneId ?? '' })
      return
    }
    const view = JSON.stringify(snapshot)
    if (view === before?.view) return
    this.#snapshots.set(id, { view, cloneId: snapshot.cloneId })
    hub.publish({ type: 'snapshot', action: 'changed', subject: id, snapshot }, { clone: snapshot.cloneId })
  }

  /** Undefined for one that no user sees. */
  #shownSnapshot(id: string, clones: CloneRecord[]) {
    const record = this.#options.catalogue.snapshots.get(id)
    return record?.published && record.state === 'live' ? toSnapshot(record, usersOf(id, clones).length) : undefined
  }

  #known(record: CloneRecord): KnownClone {
    const { id, tokenId, createdAt, snapshotId, resetTo } = record
    const standsOn = [...new Set(resetTo === null ? [snapshotId] : [snapshotId, resetTo])]
    return { view: JSON.stringify(this.#options.viewOf(id)), owner: tokenId, createdAt, standsOn }
  }
}

/** What is in one of them alone. */
function differing(some: readonly string[], others: readonly string[]): string[] {
  return [...some.filter((one) => !others.includes(one)), ...others.filter((one) => !some.includes(one))]
}
