import { ProvisionError } from './errors.ts'
import { failPoint } from './faults/faults.ts'
import type { Instance, PostgresRuntime } from './postgres/runtime.ts'
import type { PortSteering } from './steering/port-steering.ts'
import type { VolumeId } from './storage/driver.ts'

/** Which Postgres answers at a clone's port: the one that was started there, or, where the kernel can steer ports, another. */
export class ClonePorts {
  readonly #runtime: PostgresRuntime
  readonly #steering: PortSteering | undefined
  /** How often a port was given away. */
  readonly #given = new Map<number, number>()

  constructor(runtime: PostgresRuntime, steering: PortSteering | undefined) {
    this.#runtime = runtime
    this.#steering = steering
  }

  /** @throws ProvisionError UNAVAILABLE, saying why every clone here answers at the port that it was started at, and at no other */
  async check(): Promise<void> {
    if (!this.#steering)
      throw new ProvisionError('UNAVAILABLE', 'every clone answers at the port that it was started at')
    await this.#steering.check()
  }

  /**
   * Has the Postgres of a clone answer at the clone's port, whichever it was started at. Nothing where it does not run, since it will be started there,
   * and where the port is given to another meanwhile.
   *
   * @throws ProvisionError UNAVAILABLE, FAILED as `PortSteering.steer`
   */
  async answerAt(id: VolumeId, port: number): Promise<void> {
    const given = this.#given.get(port)
    const instance = await this.#runtime.inspect(id)
    if (this.#given.get(port) !== given) return
    if (instance?.pid === undefined || instance.port === port) await this.release(port)
    else await this.#steering?.steer(port, { pid: instance.pid, port: instance.port })
  }

  /** Whoever was started at the port has it. */
  async release(port: number): Promise<void> {
    await this.#steering?.release(port)
  }

  /** Ends the connections of a server that stands still, as far as the kernel lets us: who waits for it learns that it will not answer. */
  async hangUp(id: VolumeId): Promise<void> {
    const pids = await this.#runtime.workersOf(id)
    if (pids.length > 0) await this.#steering?.hangUp(pids)
  }

  /** See `PortSteering.ports`. */
  async steered(): Promise<ReadonlySet<number>> {
    return (await this.#steering?.ports()) ?? new Set()
  }

  /** The two that `giveAway` is about. */
  serversOf(from: VolumeId | null, to: VolumeId): Promise<[Instance | undefined, Instance | undefined]> {
    return Promise.all([from === null ? undefined : this.#runtime.inspect(from), this.#runtime.inspect(to)])
  }

  /** @throws ProvisionError IN_USE where others than the first listen at the port; UNAVAILABLE, FAILED as `PortSteering.steer` */
  async giveAway(port: number, [before, instance]: [Instance | undefined, Instance | undefined]): Promise<void> {
    if (instance?.pid === undefined) throw new ProvisionError('FAILED', 'it ended before it could be given the port')
    this.#given.set(port, (this.#given.get(port) ?? 0) + 1)
    const old = before?.pid !== undefined && before.port === port ? { pid: before.pid, port } : undefined
    await this.#steering?.steer(port, { pid: instance.pid, port: instance.port }, { before: old })
    await failPoint('steering.steered')
  }
}
