import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { Counter, Gauge, type Registry } from '@prometheus-io/client'

/** How often the loop is looked at. Node's own 10 ms would wake an idle server twice as often and tell little more. */
const RESOLUTION_MS = 20

/**
 * The server's process, under the names that libraries of Prometheus give these things. The library's own set comes whole or not at all: it would
 * also hear of every garbage collection, and read `/proc` while whoever asks waits.
 */
export class ProcessMetrics implements Disposable {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  readonly #registry: Registry
  #utilization = performance.eventLoopUtilization()

  constructor(registry: Registry) {
    this.#registry = registry
    this.#delay.enable()
    const startedAt = (performance.timeOrigin / 1000).toFixed(3)
    this.#add('process_start_time_seconds', 'When the server was started', () => Number(startedAt))
    this.#add('process_resident_memory_bytes', 'Memory of the server, without the clones', () =>
      process.memoryUsage.rss(),
    )
    this.#add('nodejs_heap_size_used_bytes', 'Of that, what its objects take', () => process.memoryUsage().heapUsed)
    this.#addLag()
    const since = 'since the metrics were last read'
    this.#add('nodejs_eventloop_utilization', `Share of the time in which it was busy, ${since}`, () => {
      const { utilization } = performance.eventLoopUtilization(this.#utilization)
      this.#utilization = performance.eventLoopUtilization()
      return utilization
    })
    new Counter({
      name: 'process_cpu_seconds_total',
      help: "Processors' time of the server, without the clones",
      registers: [registry],
      collect() {
        const { user, system } = process.cpuUsage()
        this.reset()
        this.inc((user + system) / 1e6)
      },
    })
  }

  /** In the order in which they are written: the last of them begins anew. */
  #addLag(): void {
    const help = 'How late the event loop was, since the metrics were last read'
    this.#add('nodejs_eventloop_lag_mean_seconds', help, () => this.#lag(this.#delay.mean))
    this.#add('nodejs_eventloop_lag_p99_seconds', help, () => this.#lag(this.#delay.percentile(99)))
    this.#add('nodejs_eventloop_lag_max_seconds', help, () => {
      const most = this.#lag(this.#delay.max)
      this.#delay.reset()
      return most
    })
  }

  /** Node counts the time between two looks, in nanoseconds. */
  #lag(nanoseconds: number): number {
    if (this.#delay.count === 0) return 0
    return Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000)
  }

  #add(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read())
      },
    })
  }

  [Symbol.dispose](): void {
    this.#delay.disable()
  }
}
