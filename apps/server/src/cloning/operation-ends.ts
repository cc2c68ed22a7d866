import type { CloneProfile, CloneStepTime } from '@dblab/models'

export type CloneOperation = 'creation' | 'reset' | 'deletion'

/** `aborted`: given up since the clone was to be deleted, or the server to stop. */
export type OperationOutcome = 'ok' | 'failed' | 'aborted'

/** How an operation on a clone has ended. */
export interface OperationEnd {
  operation: CloneOperation
  outcome: OperationOutcome
  /** Of a creation or a reset that succeeded. */
  took?: OperationTime
}

export interface OperationTime {
  /** `warm`: of an instance that stood ready. */
  start: 'cold' | 'warm'
  profile: CloneProfile
  /** From the request to ready; undefined where the server was started again in between, whose downtime is no measure of anything. */
  seconds: number | undefined
  steps: readonly CloneStepTime[]
}

/** Where the ends of operations are told, to whoever counts them. */
export class OperationEnds {
  readonly #listeners: ((end: OperationEnd) => void)[] = []

  /** The listener must not throw. */
  subscribe(listener: (end: OperationEnd) => void): void {
    this.#listeners.push(listener)
  }

  tell(end: OperationEnd): void {
    for (const listener of this.#listeners) listener(end)
  }
}
