import { Registry } from '@prometheus-io/client'
import type { OperationEnds } from '../cloning/operation-ends.ts'
import { CloneMetrics } from './clone-metrics.ts'
import { LabMetrics, type LabMetricsOptions } from './lab-metrics.ts'
import { ProcessMetrics } from './process-metrics.ts'
import { RequestMetrics } from './request-metrics.ts'

export interface MetricsOptions extends LabMetricsOptions {
  ends: OperationEnds
}

/** What Prometheus reads. Counters begin at 0 with each start of the server, and no label has a value that somebody chose. */
export class Metrics implements Disposable {
  readonly requests: RequestMetrics
  readonly #registry = new Registry()
  readonly #process: ProcessMetrics

  constructor({ ends, ...lab }: MetricsOptions) {
    const clones = new CloneMetrics(this.#registry)
    ends.subscribe((end) => clones.ended(end))
    new LabMetrics(this.#registry, lab)
    this.requests = new RequestMetrics(this.#registry)
    this.#process = new ProcessMetrics(this.#registry)
  }

  /** https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  [Symbol.dispose](): void {
    this.#process[Symbol.dispose]()
  }
}
