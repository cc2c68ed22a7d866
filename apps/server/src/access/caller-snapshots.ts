import type { CreateSnapshotRequest, Snapshot, UpdateSnapshotRequest } from '@dblab/models'
import type { Catalogue } from '../catalogue/catalogue.ts'
import { LabError } from '../errors.ts'
import { type SnapshotService, usersOf } from '../snapshots/snapshot-service.ts'
import type { Act } from './act.ts'
import { type Caller, owns, requireOwned } from './caller.ts'

/** The snapshots as one caller may use them: everybody sees and clones all, a member takes and deletes those of its own clones. */
export class CallerSnapshots {
  readonly #snapshots: SnapshotService
  readonly #catalogue: Catalogue
  readonly #caller: Caller
  readonly #act: Act | undefined

  constructor(snapshots: SnapshotService, catalogue: Catalogue, caller: Caller, act: Act | undefined) {
    this.#snapshots = snapshots
    this.#catalogue = catalogue
    this.#caller = caller
    this.#act = act
  }

  list(): Snapshot[] {
    return this.#snapshots.list()
  }

  async create(request: CreateSnapshotRequest): Promise<Snapshot> {
    const { cloneId } = request
    const clone = cloneId ? this.#catalogue.clones.get(cloneId) : undefined
    if (this.#act && clone) this.#act.clone = clone.id
    if (cloneId) requireOwned(this.#caller, clone)
    else if (this.#caller.role === 'member') {
      throw new LabError(
        'FORBIDDEN',
        "a member takes snapshots of its own clones, not of the lab's data: name one in cloneId",
      )
    }
    const snapshot = await this.#snapshots.create(request, this.#caller.tokenId)
    if (this.#act) this.#act.snapshot = snapshot.id
    return snapshot
  }

  /** Whose it is was written down when it was taken: its clone may be gone by now, and the id be somebody else's. */
  async delete(id: string): Promise<void> {
    this.#requireOwn(id, 'a member deletes the snapshots that it took of its own clones')
    try {
      await this.#snapshots.delete(id)
    } catch (error) {
      if (!(error instanceof LabError && error.code === 'SNAPSHOT_IN_USE')) throw error
      throw new LabError('SNAPSHOT_IN_USE', this.#whoUses(id))
    }
  }

  update(id: string, change: UpdateSnapshotRequest): Snapshot {
    this.#requireOwn(id, 'a member changes the snapshots that it took of its own clones')
    return this.#snapshots.update(id, change)
  }

  #requireOwn(id: string, refusal: string): void {
    const snapshot = this.#catalogue.snapshots.get(id)
    if (snapshot?.published && snapshot.state === 'live' && !owns(this.#caller, snapshot)) {
      throw new LabError('FORBIDDEN', refusal)
    }
  }

  /** Names no clone that its reader does not see. */
  #whoUses(id: string): string {
    const users = usersOf(id, this.#catalogue.clones.list())
    const own = users.filter((clone) => owns(this.#caller, clone)).map((clone) => clone.id)
    const others = users.length - own.length
    const ofOthers = others === 0 ? [] : [`${others} that others made`]
    return `clones stand on it: ${[...own, ...ofOthers].join(', ')}`
  }
}
