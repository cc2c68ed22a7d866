import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, rmSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isProvisionError, isSystemError, ProvisionError } from '../errors.ts'
import { CommandError, run } from '../exec.ts'
import { type Descriptor, type ListeningAddress, SteeringKernel } from './kernel.ts'
import { keyOf, portOf, steerProgram } from './steer-program.ts'

/** Where systemd mounts it, and bpftool and iproute2 do where nobody has. */
const BPF_DIRECTORY = '/sys/fs/bpf'
/** BPF_FS_MAGIC, linux/magic.h */
const BPF_FS_MAGIC = 0xcafe4a11
/** The network namespace of this process: network_namespaces(7). */
const NETWORK = '/proc/self/ns/net'

interface Opened {
  kernel: SteeringKernel
  map: Descriptor
  link: Descriptor
}

/** A server that listens. */
export interface Listener {
  pid: number
  /** The port that it was started at. */
  port: number
}

/**
 * Has servers answer at ports that they were not started at: a server's own port is settled when it starts. New connections to the port come to
 * the sockets that the server listens at, by a lookup of the kernel's at their first packet, and nothing else stands between.
 *
 * What is steered outlives this process. It ends with the server that it goes to. From then on whoever is bound to the port has it.
 * Takes Linux 5.9, root or CAP_BPF with CAP_NET_ADMIN and CAP_SYS_PTRACE, and a bpf file system, which root has mounted where there is none.
 */
export class PortSteering implements AsyncDisposable {
  readonly #pins: { map: string; link: string }
  /** By port: the addresses that nobody else is to have, while they lead elsewhere. */
  readonly #held = new Map<number, Map<string, Descriptor>>()
  #opening: Promise<Opened> | undefined
  /** Why this process never can: it may not take the sockets of other processes. */
  #refused: ProvisionError | undefined

  constructor(labId: string) {
    const pin = (what: string) => join(BPF_DIRECTORY, `dblab-${labId}-${what}`)
    this.#pins = { map: pin('ports'), link: pin('link') }
  }

  /** @throws ProvisionError UNAVAILABLE, saying why this machine or account can't */
  async check(): Promise<void> {
    if (this.#refused) throw this.#refused
    await this.#open()
  }

  /**
   * From the next connection on, those to `port` come to the listener, at each address that it listens at; while this process runs, nobody else
   * is bound there, unless somebody was. Again: nothing changes, but for what has gone meanwhile.
   *
   * @param options.before who answers there now, and is to give way
   * @throws ProvisionError UNAVAILABLE as `check`, and where this process may not look into the listener; IN_USE where others listen at the port;
   * FAILED when the listener has ended, or the kernel takes no more
   */
  async steer(port: number, to: Listener, { before }: { before?: Listener | undefined } = {}): Promise<void> {
    const { kernel, map } = await this.#open()
    const steered = new Set(kernel.keys(map).map((key) => key.toString('hex')))
    try {
      using stack = new DisposableStack()
      const isBefore = (at: ListeningAddress) =>
        before !== undefined && socketsAt(kernel, before, stack).some((socket) => textOf(socket.at) === textOf(at))
      const sockets = socketsAt(kernel, to, stack)
      if (sockets.length === 0)
        throw new ProvisionError('FAILED', `process ${to.pid} does not listen at port ${to.port}`)
      for (const { socket, at: from } of sockets) {
        const at = { ...from, port }
        const key = keyOf(at.family, port, at.address)
        const isOurs = this.#holds(at) || steered.has(key.toString('hex'))
        if (!isOurs && !kernel.mayListen(at) && !isBefore(at)) throw taken(port)
        kernel.put(map, key, socket)
        this.#hold(kernel, at)
      }
    } catch (cause) {
      if (isProvisionError(cause)) throw cause
      if (isSystemError(cause, 'EACCES', 'EPERM')) this.#refused = unavailable(cause.message, cause)
      throw (
        this.#refused ?? new ProvisionError('FAILED', `port ${port} could not be given to process ${to.pid}`, { cause })
      )
    }
  }

  /** Those that lead to another server than the one that is bound to them. */
  async ports(): Promise<ReadonlySet<number>> {
    const opened = await this.#openWhatIsThere()
    return new Set(opened?.kernel.keys(opened.map).map(portOf))
  }

  /**
   * Ends the connections of the processes that a server has started. They are to stand still: what they said until then reaches the other side, and
   * nothing after it.
   *
   * @throws ProvisionError UNAVAILABLE as `check`; system errors
   */
  async hangUp(pids: readonly number[]): Promise<void> {
    const { kernel } = await this.#open()
    for (const pid of pids) {
      try {
        using stack = new DisposableStack()
        for (const { socket, at } of socketsIn(kernel, pid, stack)) if (at === undefined) kernel.hangUp(socket)
      } catch (error) {
        // It has ended meanwhile.
        if (!isSystemError(error, 'ESRCH', 'ENOENT')) throw error
      }
    }
  }

  /** Whoever is bound to the port has it from now on. */
  async release(port: number): Promise<void> {
    for (const held of this.#held.get(port)?.values() ?? []) held[Symbol.dispose]()
    this.#held.delete(port)
    const opened = await this.#openWhatIsThere()
    if (!opened) return
    const { kernel, map } = opened
    for (const key of kernel.keys(map)) if (portOf(key) === port) kernel.remove(map, key)
  }

  /** What is steered goes on. Where nothing is, nothing is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const port of this.#held.values()) for (const held of port.values()) held[Symbol.dispose]()
    this.#held.clear()
    const opened = await this.#openWhatIsThere()
    if (!opened) return
    const { kernel, map, link } = opened
    using descriptors = new DisposableStack()
    descriptors.use(map)
    descriptors.use(link)
    if (kernel.keys(map).length === 0) this.#unpin()
  }

  #holds(at: ListeningAddress): boolean {
    return this.#held.get(at.port)?.has(textOf(at)) ?? false
  }

  #hold(kernel: SteeringKernel, at: ListeningAddress): void {
    const holder = this.#holds(at) ? undefined : kernel.hold(at)
    if (!holder) return
    const held = this.#held.get(at.port) ?? new Map<string, Descriptor>()
    this.#held.set(at.port, held.set(textOf(at), holder))
  }

  /** Undefined where nothing was ever steered, nothing is left of it, or what is there can't be had: then what was steered ends with its servers. */
  async #openWhatIsThere(): Promise<Opened | undefined> {
    if (!this.#opening && !this.#isPinned()) return undefined
    try {
      return await this.#open()
    } catch (error) {
      if (isProvisionError(error, 'UNAVAILABLE')) return undefined
      throw error
    }
  }

  #isPinned(): boolean {
    return isOurs(this.#pins.map) && isOurs(this.#pins.link)
  }

  #open(): Promise<Opened> {
    this.#opening ??= this.#tryOpen().catch((error: unknown) => {
      // It may be possible the next time.
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  async #tryOpen(): Promise<Opened> {
    try {
      const kernel = SteeringKernel.open()
      if (!kernel) throw unavailable('nothing here calls functions of the C library')
      await mountBpf()
      return this.#openPinned(kernel) ?? this.#make(kernel)
    } catch (error) {
      if (isSystemError(error)) throw unavailable(error.message, error)
      throw error instanceof CommandError ? unavailable(error.message, error) : error
    }
  }

  /** What an earlier process has left, where that works in the network that this one is in. */
  #openPinned(kernel: SteeringKernel): Opened | undefined {
    if (!this.#isPinned()) return undefined
    using stack = new DisposableStack()
    const link = stack.use(kernel.openPinned(this.#pins.link))
    if (kernel.namespaceOf(link) !== statSync(NETWORK).ino) return undefined
    const map = kernel.openPinned(this.#pins.map)
    stack.move()
    return { kernel, map, link }
  }

  #make(kernel: SteeringKernel): Opened {
    // What a process that was killed had half made, or what worked in a network that is gone.
    this.#unpin()
    using stack = new DisposableStack()
    const map = stack.use(kernel.createMap())
    const namespace = stack.adopt(openSync(NETWORK, 'r'), closeSync)
    const link = kernel.attach(steerProgram(map.fd), namespace)
    stack.use(link)
    kernel.pin(map, this.#pins.map)
    kernel.pin(link, this.#pins.link)
    closeSync(namespace)
    stack.move()
    return { kernel, map, link }
  }

  #unpin(): void {
    for (const path of [this.#pins.link, this.#pins.map]) rmSync(path, { force: true })
  }
}

function taken(port: number): ProvisionError {
  return new ProvisionError('IN_USE', `another program listens at port ${port}`, {
    hint: 'End that program, or keep it from the ports of clones, and try again.',
  })
}

function unavailable(why: string, cause?: unknown): ProvisionError {
  return new ProvisionError('UNAVAILABLE', `no server can answer at another port than its own here: ${why}`, {
    cause,
    hint: 'It takes Linux 5.9 and root, or the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_SYS_PTRACE and a bpf file system at /sys/fs/bpf.',
  })
}

/** As bpftool-prog(8) does where there is none. */
async function mountBpf(): Promise<void> {
  if (statfsSync(BPF_DIRECTORY).type === BPF_FS_MAGIC) return
  await run(['mount', '-t', 'bpf', '-o', 'mode=700', 'bpf', BPF_DIRECTORY])
}

/** There, and nobody else's: the directory may be open to all. */
function isOurs(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.uid === process.geteuid?.()
  } catch (error) {
    // Of a directory that is closed to this account, nothing is.
    if (isSystemError(error, 'EACCES')) return false
    throw error
  }
}

/** The sockets that a server listens at, until the stack is disposed of. */
function socketsAt(kernel: SteeringKernel, { pid, port }: Listener, stack: DisposableStack) {
  return socketsIn(kernel, pid, stack).flatMap(({ socket, at }) => (at?.port === port ? [{ socket, at }] : []))
}

/** All sockets that a process has, with where those of them that listen do, until the stack is disposed of. */
function socketsIn(kernel: SteeringKernel, pid: number, stack: DisposableStack) {
  const process = stack.use(kernel.openProcess(pid))
  return socketsOf(pid).flatMap((fd) => {
    const socket = stack.use(kernel.take(process, fd))
    return socket ? [{ socket, at: kernel.listensAt(socket) }] : []
  })
}

function textOf({ family, port, address }: ListeningAddress): string {
  return keyOf(family, port, address).toString('hex')
}

/** The descriptors of a process that are sockets. */
function socketsOf(pid: number): number[] {
  const directory = `/proc/${pid}/fd`
  return readdirSync(directory)
    .filter((name) => linkOf(join(directory, name)).startsWith('socket:'))
    .map(Number)
}

/** Of a descriptor that has been closed meanwhile, nothing. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return ''
    throw error
  }
}
