import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isSystemError, ProvisionError } from '../../errors.ts'
import type { InstanceLimits } from '../runtime.ts'

/** What a group can bound, by the names of cgroups(7). */
export type Controller = 'memory' | 'cpu'

/** cpu.max counts in microseconds of each period; this is the kernel's own. */
const CPU_PERIOD_US = 100_000
/** A group is busy for a moment after its last process has ended. */
const BUSY_MS = [10, 50, 100, 200, 400]

/**
 * The control groups of one lab's servers (cgroups(7), version 2): one for each, below one of the lab's own. That lies at the top for root, so
 * that who ends all of a service's group leaves the servers running; for others, in the group that this process is in. Groups go on when
 * this process ends, as the servers do.
 */
export class Cgroups {
  readonly #parent: string
  readonly #lab: string
  readonly #controllers: readonly Controller[]
  #lastTurn: Promise<void> = Promise.resolve()

  private constructor(parent: string, lab: string, controllers: readonly Controller[]) {
    this.#parent = parent
    this.#lab = lab
    this.#controllers = controllers
  }

  /**
   * @param name of the lab's group: letters, digits and dashes
   * @param controllers what the groups are to bound
   * @throws ProvisionError UNAVAILABLE, saying why this process can't have such groups
   */
  static async open(name: string, controllers: readonly Controller[]): Promise<Cgroups> {
    const parent = await parentGroup()
    const groups = new Cgroups(parent, join(parent, `dblab-${name}`), controllers)
    await requireControllers(parent, controllers)
    await groups.#reporting(async () => {
      await groups.#makeLabGroup()
      await groups.#removeLabGroup()
    })
    return groups
  }

  /** A group for the server of this id, with these bounds. One that is there takes the new bounds. */
  async make(id: string, limits: InstanceLimits): Promise<void> {
    const group = this.#group(id)
    await this.#reporting(async () => {
      await this.#inTurn(async () => {
        await this.#makeLabGroup()
        await mkdir(group, { recursive: true })
      })
      for (const [file, value] of boundsOf(limits, this.#controllers)) await writeFile(join(group, file), value)
    })
  }

  /** Before it has made children, which are in its group from their beginning. */
  async add(id: string, pid: number): Promise<void> {
    await this.#reporting(() => writeFile(join(this.#group(id), 'cgroup.procs'), String(pid)))
  }

  /** Once nothing runs in it; absent is fine. */
  async remove(id: string, waits: readonly number[] = BUSY_MS): Promise<void> {
    try {
      await rmdir(this.#group(id))
    } catch (error) {
      const [wait, ...rest] = waits
      if (isSystemError(error, 'EBUSY') && wait !== undefined) {
        await sleep(wait)
        return this.remove(id, rest)
      }
      if (!isSystemError(error, 'ENOENT')) throw error
    }
    await this.#inTurn(() => this.#removeLabGroup())
  }

  /** The lab's group goes with its last server: it must not go while it is made for another, before that one's is in it. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#lastTurn = this.#lastTurn.then(work, work)
    return this.#lastTurn
  }

  async #makeLabGroup(): Promise<void> {
    await mkdir(this.#lab, { recursive: true })
    if (this.#controllers.length === 0) return
    const all = this.#controllers.map((name) => `+${name}`).join(' ')
    try {
      await writeFile(join(this.#parent, 'cgroup.subtree_control'), all)
    } catch (error) {
      if (!isSystemError(error, 'EBUSY')) throw error
      await this.#clearParent()
      await writeFile(join(this.#parent, 'cgroup.subtree_control'), all)
    }
    await writeFile(join(this.#lab, 'cgroup.subtree_control'), all)
  }

  /** Only a group that holds no process itself can be divided ("no internal processes"), but for the topmost. */
  async #clearParent(): Promise<void> {
    const beside = join(this.#parent, 'dblab-server')
    await mkdir(beside, { recursive: true })
    const pids = (await readFile(join(this.#parent, 'cgroup.procs'), 'utf8')).split('\n').filter((pid) => pid !== '')
    for (const pid of pids) await writeFile(join(beside, 'cgroup.procs'), pid)
  }

  async #removeLabGroup(): Promise<void> {
    try {
      await rmdir(this.#lab)
    } catch (error) {
      // Others of its servers run.
      if (!isSystemError(error, 'EBUSY', 'ENOTEMPTY', 'ENOENT')) throw error
    }
  }

  #group(id: string): string {
    return join(this.#lab, id)
  }

  async #reporting<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isSystemError(error)) throw error
      throw cannot(`${this.#parent} can't be used: ${error.message}`, error)
    }
  }
}

/** The files of a group and what goes into them; a bound that is left out is lifted. */
export function boundsOf(
  { memoryMaxBytes, cpus }: InstanceLimits,
  controllers: readonly Controller[],
): [file: string, value: string][] {
  return controllers.map((controller) => {
    if (controller === 'memory') return ['memory.max', String(memoryMaxBytes ?? 'max')]
    const quota = cpus === undefined ? 'max' : Math.max(1000, Math.round(cpus * CPU_PERIOD_US))
    return ['cpu.max', `${quota} ${CPU_PERIOD_US}`]
  })
}

/** Where version 2 is mounted, by /proc/self/mountinfo (proc_pid_mountinfo(5)); undefined where it isn't. */
export function mountOfCgroup2(mountinfo: string): string | undefined {
  const line = mountinfo.split('\n').find((text) => text.split(' - ')[1]?.startsWith('cgroup2 '))
  return line?.split(' ')[4]
}

/** The group of version 2 that a process is in, by its /proc/<pid>/cgroup (cgroups(7)); undefined for none. */
export function groupOfCgroup2(text: string): string | undefined {
  return /^0::(\/.*)$/m.exec(text)?.[1]
}

async function parentGroup(): Promise<string> {
  if (process.platform !== 'linux') throw cannot('only Linux has control groups')
  const mount = mountOfCgroup2(await readFile('/proc/self/mountinfo', 'utf8'))
  // Before the next file is read, which a kernel without control groups does not have.
  if (mount === undefined) throw cannot('cgroup v2 is not mounted')
  const own = groupOfCgroup2(await readFile('/proc/self/cgroup', 'utf8'))
  if (own === undefined) throw cannot('this process is in no group of cgroup v2')
  return process.geteuid?.() === 0 ? mount : join(mount, own)
}

async function requireControllers(group: string, wanted: readonly Controller[]): Promise<void> {
  const there = (await readFile(join(group, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/)
  const missing = wanted.filter((name) => !there.includes(name))
  if (missing.length === 0) return
  throw cannot(`${group} has no controller for ${missing.join(' and ')}: cgroup v1 has it, or nobody passed it on`)
}

function cannot(reason: string, cause?: unknown): ProvisionError {
  return new ProvisionError('UNAVAILABLE', `control groups can't be used: ${reason}`, {
    cause,
    hint: 'Boot with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1), and run the server as root, or as a systemd service with Delegate=yes.',
  })
}
