import type { DatabaseSync } from 'node:sqlite'
import { isOutOfSpace } from '../errors.ts'
import { CloneStore } from './clones.ts'
import { type CreateOptions, createDatabase, createInMemory, openDatabase } from './database.ts'
import { IdempotencyStore } from './idempotency.ts'
import { Reserve } from './reserve.ts'
import { type RowListener, watchRows } from './row-changes.ts'
import { RunStore } from './runs.ts'
import { SealedDatabase } from './sealed-database.ts'
import { SnapshotStore } from './snapshots.ts'
import { TokenStore } from './tokens.ts'
import { VolumeStore } from './volumes.ts'

const WATCHED = ['clones', 'snapshots', 'tokens'] as const

/** What should be: clones, snapshots and volumes, their states, owners and times, and what became of retrieval. The storage and the process table say what is. */
export class Catalogue {
  readonly clones: CloneStore
  readonly snapshots: SnapshotStore
  readonly volumes: VolumeStore
  readonly idempotency: IdempotencyStore
  readonly tokens: TokenStore
  readonly runs: RunStore
  readonly #db: DatabaseSync
  readonly #reserve: Reserve | undefined
  readonly #listeners: RowListener[] = []

  private constructor(db: DatabaseSync, reserve?: Reserve) {
    this.#db = db
    this.#reserve = reserve
    this.clones = new CloneStore(db)
    this.snapshots = new SnapshotStore(db)
    this.volumes = new VolumeStore(db)
    this.idempotency = new IdempotencyStore(db)
    this.tokens = new TokenStore(db)
    this.runs = new RunStore(db)
    watchRows(db, WATCHED, (table, id) => {
      if (table === 'clones') this.clones.noteWritten(id)
      if (table === 'snapshots') this.snapshots.noteWritten(id)
      for (const listener of this.#listeners) listener(table, id)
    })
  }

  /** The catalogue of a new lab. The file must not exist. */
  static create(file: string, labId: string, options: CreateOptions = {}): Catalogue {
    return new Catalogue(createDatabase(file, labId, options), new Reserve(`${file}-reserve`))
  }

  /** @throws CatalogueLostError when it can't be trusted: then nothing may be concluded from what it lacks. */
  static open(file: string, labId: string, epoch: number): Catalogue {
    return new Catalogue(openDatabase(file, labId, epoch), new Reserve(`${file}-reserve`))
  }

  /** An empty one that is never written to disk: what a lab shows while its own is lost. */
  static empty(labId: string): Catalogue {
    return new Catalogue(createInMemory(labId))
  }

  /** All of it, on disk, or nothing. `work` must not await. */
  transaction<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      this.#db.exec('COMMIT')
      return result
    } catch (error) {
      // A failed COMMIT (a full disk) may have ended the transaction already.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  /**
   * A transaction, or several, that is there for all when this returns, and on disk once `flushed` has resolved. A process that is killed loses
   * nothing of it; a power cut may.
   */
  aside<T>(work: () => T): T {
    return this.#db instanceof SealedDatabase ? this.#db.aside(work) : work()
  }

  /** Once all that was committed until now is on disk. Who comes at the same time shares the disk's one flush. */
  async flushed(): Promise<void> {
    if (this.#db instanceof SealedDatabase) await this.#db.flush()
  }

  /** Work that makes room, or that nothing can go on without: on a full disk the reserve is given up for it. */
  evenIfFull<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!isOutOfSpace(error) || !this.#reserve) throw error
      this.#reserve.giveUp()
      return work()
    }
  }

  /** Makes the room that `evenIfFull` gives up, or makes it again. For the background. */
  async keepReserve(directory: string): Promise<void> {
    await this.#reserve?.keep(directory)
  }

  /** Counts a start, so that a copy made before it can be told from the catalogue. */
  nextEpoch(): number {
    this.evenIfFull(() => this.#db.exec("UPDATE meta SET value = value + 1 WHERE key = 'epoch'"))
    return Number(this.#db.prepare("SELECT value FROM meta WHERE key = 'epoch'").get()?.value)
  }

  /** Grows with every change of a row by this process: who keeps it knows later whether there is anything new. */
  get changes(): number {
    return Number(this.#db.prepare('SELECT total_changes() AS n').get()?.n)
  }

  /** Tells of every row of clones, snapshots and tokens that is written from now on. See `watchRows`. */
  watchRows(listener: RowListener): void {
    this.#listeners.push(listener)
  }

  /** Takes what the log holds into the file itself, as closing does. */
  checkpoint(): void {
    this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  close(): void {
    this.#db.close()
  }
}
