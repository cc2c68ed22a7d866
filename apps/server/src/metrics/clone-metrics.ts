import { Counter, Histogram, type Registry } from '@prometheus-io/client'
import type { CloneOperation, OperationEnd, OperationOutcome, OperationTime } from '../cloning/operation-ends.ts'
import { OPERATION_SECONDS, STEP_SECONDS } from './buckets.ts'

/** What is zero from the start on, so that the first of its kind is seen as an increase. A deletion is never given up. */
const COUNTED: Record<CloneOperation, readonly OperationOutcome[]> = {
  creation: ['ok', 'failed', 'aborted'],
  reset: ['ok', 'failed', 'aborted'],
  deletion: ['ok', 'failed'],
}

/** What creations, resets and deletions came to, and took. */
export class CloneMetrics {
  readonly #operations: Counter<'operation' | 'outcome'>
  readonly #creations: Histogram<'start' | 'profile'>
  readonly #resets: Histogram<'profile'>
  readonly #steps: Histogram<'operation' | 'step'>

  constructor(registry: Registry) {
    const registers = [registry]
    this.#operations = new Counter({
      name: 'dblab_clone_operations_total',
      help: 'Creations, resets and deletions of clones that have ended, by how',
      labelNames: ['operation', 'outcome'],
      registers,
    })
    this.#creations = new Histogram({
      name: 'dblab_clone_creation_seconds',
      help: 'From the request for a clone until it was ready',
      labelNames: ['start', 'profile'],
      buckets: OPERATION_SECONDS,
      registers,
    })
    this.#resets = new Histogram({
      name: 'dblab_clone_reset_seconds',
      help: 'From the request for a reset until the clone was ready',
      labelNames: ['profile'],
      buckets: OPERATION_SECONDS,
      registers,
    })
    this.#steps = new Histogram({
      name: 'dblab_clone_step_seconds',
      help: 'Each step of the creations and resets that succeeded',
      labelNames: ['operation', 'step'],
      buckets: STEP_SECONDS,
      registers,
    })
    for (const [operation, outcomes] of Object.entries(COUNTED)) {
      for (const outcome of outcomes) this.#operations.inc({ operation, outcome }, 0)
    }
  }

  ended({ operation, outcome, took }: OperationEnd): void {
    this.#operations.inc({ operation, outcome })
    if (took !== undefined) this.#observe(operation, took)
  }

  #observe(operation: CloneOperation, { start, profile, seconds, steps }: OperationTime): void {
    for (const step of steps) this.#steps.observe({ operation, step: step.name }, step.seconds)
    if (seconds === undefined) return
    if (operation === 'creation') this.#creations.observe({ start, profile }, seconds)
    else this.#resets.observe({ profile }, seconds)
  }
}
