import type { Retrieval, RetrievalRun } from '@dblab/models'
import type { RetrievalService } from '../retrieval/retrieval-service.ts'
import { outlineOfAll } from '../retrieval/runs/outline.ts'
import type { Caller } from './caller.ts'

/** How data comes in, as one caller may know it: the admins know where from, and what went wrong there. */
export class CallerRetrieval {
  readonly #retrieval: RetrievalService
  readonly #caller: Caller

  constructor(retrieval: RetrievalService, caller: Caller) {
    this.#retrieval = retrieval
    this.#caller = caller
  }

  view(): Retrieval {
    const view = this.#retrieval.view()
    return this.#caller.role === 'admin' ? view : outlineOfAll(view)
  }

  refresh(): RetrievalRun {
    return this.#retrieval.refresh('REQUEST')
  }

  cancel(): Promise<RetrievalRun> {
    return this.#retrieval.cancel()
  }
}
