import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { RetrievalRun } from '@dblab/models'

/** How many runs that ended are remembered. */
const KEPT_RUNS = 50

/** The times that data was brought in. */
export class RunStore {
  readonly #put: StatementSync
  readonly #list: StatementSync
  readonly #trim: StatementSync

  constructor(db: DatabaseSync) {
    this.#put = db.prepare(`
      INSERT INTO retrieval_runs (id, started_at, outcome, run) VALUES (:id, :startedAt, :outcome, :run)
      ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome, run = excluded.run`)
    this.#list = db.prepare('SELECT run FROM retrieval_runs ORDER BY started_at DESC, id DESC')
    this.#trim = db.prepare(`
      DELETE FROM retrieval_runs WHERE outcome <> 'RUNNING' AND id NOT IN (
        SELECT id FROM retrieval_runs ORDER BY started_at DESC, id DESC LIMIT ${KEPT_RUNS})`)
  }

  /** As it is now; the oldest that ended are forgotten. */
  put(run: RetrievalRun): void {
    this.#put.run({ id: run.id, startedAt: run.startedAt, outcome: run.outcome, run: JSON.stringify(run) })
    this.#trim.run()
  }

  /** Newest first. */
  list(): RetrievalRun[] {
    return this.#list.all().map((row) => JSON.parse(String(row.run)) as RetrievalRun)
  }
}
