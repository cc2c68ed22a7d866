import { closeSync } from 'node:fs'
import { endianness } from 'node:os'
import { isSystemError } from '../errors.ts'
import { loadNative, type Native, systemError } from '../native.ts'
import { AF_INET, AF_INET6, KEY_BYTES } from './steer-program.ts'

/** A descriptor of this process, closed when it is disposed of. */
export interface Descriptor extends Disposable {
  readonly fd: number
}

export interface ListeningAddress {
  family: number
  /** 4 or 16 bytes. */
  address: Buffer
  port: number
}

/** The number of bpf(2), by Node's name of the processor; those of pidfd_open(2) and pidfd_getfd(2) are the same everywhere. */
const BPF: Readonly<Record<string, number>> = { x64: 321, arm64: 280 }
const PIDFD_OPEN = 434
const PIDFD_GETFD = 438

// linux/bpf.h: enum bpf_cmd, bpf_map_type, bpf_prog_type, bpf_attach_type
const MAP_CREATE = 0
const MAP_UPDATE_ELEM = 2
const MAP_DELETE_ELEM = 3
const MAP_GET_NEXT_KEY = 4
const PROG_LOAD = 5
const OBJ_PIN = 6
const OBJ_GET = 7
const OBJ_GET_INFO_BY_FD = 15
const LINK_CREATE = 28
const MAP_TYPE_SOCKHASH = 18
const PROG_TYPE_SK_LOOKUP = 30
const ATTACH_SK_LOOKUP = 36

/** struct bpf_link_info, as far as it tells of a network namespace. */
const LINK_INFO = { bytes: 24, namespaceAt: 16 }

// socket(7), socket(2), shutdown(2), ipv6(7), as on x86-64 and ARM.
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const SHUT_RDWR = 2
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_ACCEPTCONN = 30
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26
const ON = Buffer.from([1, 0, 0, 0])

const NAME = 'dblab_ports'
const MAX_ENTRIES = 8192
/** A descriptor, or the number of a socket; of 8 bytes it may be either. */
const VALUE_BYTES = 8
/** struct sockaddr_in6, the longer one. */
const SOCKADDR_BYTES = 28

/** The kernel's part in `PortSteering`: bpf(2), pidfd_getfd(2). All throw the system's own errors, with `code` and `syscall`. */
export class SteeringKernel {
  readonly #native: Native
  readonly #bpfNumber: number
  readonly #bpfCall: (number: number, command: number, attributes: Buffer, bytes: number) => number
  readonly #pidfdCall: (number: number, a: number, b: number, c: number) => number
  readonly #socket: (family: number, type: number, protocol: number) => number
  readonly #shutdown: (fd: number, how: number) => number
  readonly #bind: (fd: number, address: Buffer, length: number) => number
  readonly #getsockname: (fd: number, address: Buffer, length: Buffer) => number
  readonly #getsockopt: (fd: number, level: number, name: number, value: Buffer, length: Buffer) => number
  readonly #setsockopt: (fd: number, level: number, name: number, value: Buffer, length: number) => number

  private constructor(native: Native, bpfNumber: number) {
    this.#native = native
    this.#bpfNumber = bpfNumber
    const library = native.load(null)
    this.#bpfCall = library.func('long syscall(long number, long command, _Inout_ uint8_t *attributes, long bytes)')
    this.#pidfdCall = library.func('long syscall(long number, long a, long b, long c)')
    this.#socket = library.func('int socket(int family, int type, int protocol)')
    this.#shutdown = library.func('int shutdown(int fd, int how)')
    this.#bind = library.func('int bind(int fd, uint8_t *address, unsigned int length)')
    this.#getsockname = library.func('int getsockname(int fd, _Out_ uint8_t *address, _Inout_ uint8_t *length)')
    this.#getsockopt = library.func(
      'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint8_t *length)',
    )
    this.#setsockopt = library.func('int setsockopt(int fd, int level, int name, uint8_t *value, unsigned int length)')
  }

  /** Undefined where there is nothing to call it with, or where its numbers are others. */
  static open(): SteeringKernel | undefined {
    const native = loadNative()
    const number = BPF[process.arch]
    return native && number !== undefined && endianness() === 'LE' ? new SteeringKernel(native, number) : undefined
  }

  createMap(): Descriptor {
    const attributes = Buffer.alloc(72)
    attributes.writeUInt32LE(MAP_TYPE_SOCKHASH, 0)
    attributes.writeUInt32LE(KEY_BYTES, 4)
    attributes.writeUInt32LE(VALUE_BYTES, 8)
    attributes.writeUInt32LE(MAX_ENTRIES, 12)
    attributes.write(NAME, 28)
    return descriptor(this.#bpf(MAP_CREATE, attributes))
  }

  /** Has the kernel run the program for each connection within this network namespace, for as long as the link is pinned or open. */
  attach(code: Buffer, namespace: number): Descriptor {
    const load = Buffer.alloc(72)
    load.writeUInt32LE(PROG_TYPE_SK_LOOKUP, 0)
    load.writeUInt32LE(code.length / 8, 4)
    load.write(NAME, 48)
    load.writeUInt32LE(ATTACH_SK_LOOKUP, 68)
    const license = Buffer.from('Apache-2.0\0')
    using program = descriptor(this.#bpf(PROG_LOAD, load, { at: 8, data: code }, { at: 16, data: license }))
    const link = Buffer.alloc(64)
    link.writeUInt32LE(program.fd, 0)
    link.writeUInt32LE(namespace, 4)
    link.writeUInt32LE(ATTACH_SK_LOOKUP, 8)
    return descriptor(this.#bpf(LINK_CREATE, link))
  }

  /** The number of the network namespace that a link works in; 0 where that has ended. */
  namespaceOf({ fd }: Descriptor): number {
    const attributes = Buffer.alloc(16)
    attributes.writeUInt32LE(fd, 0)
    attributes.writeUInt32LE(LINK_INFO.bytes, 4)
    const info = Buffer.alloc(LINK_INFO.bytes)
    this.#bpf(OBJ_GET_INFO_BY_FD, attributes, { at: 8, data: info })
    return info.readUInt32LE(LINK_INFO.namespaceAt)
  }

  /** Keeps what the descriptor is of under this path of a bpf file system, for whoever comes later. */
  pin({ fd }: Descriptor, path: string): void {
    this.#object(OBJ_PIN, path, fd)
  }

  openPinned(path: string): Descriptor {
    return descriptor(this.#object(OBJ_GET, path, 0))
  }

  /** From now on, under that key, this listening socket: until it is closed by all who have it. */
  put(map: Descriptor, key: Buffer, socket: Descriptor): void {
    const value = Buffer.alloc(VALUE_BYTES)
    value.writeBigUInt64LE(BigInt(socket.fd))
    this.#bpf(MAP_UPDATE_ELEM, elementOf(map), { at: 8, data: key }, { at: 16, data: value })
  }

  remove(map: Descriptor, key: Buffer): void {
    try {
      this.#bpf(MAP_DELETE_ELEM, elementOf(map), { at: 8, data: key })
    } catch (error) {
      // Its socket has been closed meanwhile.
      if (!isSystemError(error, 'ENOENT')) throw error
    }
  }

  /** All of them, in no order. */
  keys(map: Descriptor): Buffer[] {
    const keys: Buffer[] = []
    for (;;) {
      const last = keys.at(-1)
      const next = Buffer.alloc(KEY_BYTES)
      const parts = [...(last ? [{ at: 8, data: last }] : []), { at: 16, data: next }]
      try {
        this.#bpf(MAP_GET_NEXT_KEY, elementOf(map), ...parts)
      } catch (error) {
        if (isSystemError(error, 'ENOENT')) return keys
        throw error
      }
      keys.push(next)
    }
  }

  openProcess(pid: number): Descriptor {
    return descriptor(this.#checked(this.#pidfdCall(PIDFD_OPEN, pid, 0, 0), 'pidfd_open'))
  }

  /** Another process' descriptor, as one of this one; undefined where that has been closed. */
  take(process: Descriptor, fd: number): Descriptor | undefined {
    try {
      return descriptor(this.#checked(this.#pidfdCall(PIDFD_GETFD, process.fd, fd, 0), 'pidfd_getfd'))
    } catch (error) {
      if (isSystemError(error, 'EBADF')) return undefined
      throw error
    }
  }

  /** Where a socket listens; undefined for one that does not, or is of another family. */
  listensAt({ fd }: Descriptor): ListeningAddress | undefined {
    const listens = Buffer.alloc(4)
    this.#checked(this.#getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, listens, lengthOf(listens)), 'getsockopt')
    if (listens.readUInt32LE() === 0) return undefined
    const address = Buffer.alloc(SOCKADDR_BYTES)
    this.#checked(this.#getsockname(fd, address, lengthOf(address)), 'getsockname')
    const [family, port] = [address.readUInt16LE(0), address.readUInt16BE(2)]
    // struct sockaddr_in and sockaddr_in6: ip(7), ipv6(7)
    if (family === AF_INET) return { family, port, address: address.subarray(4, 8) }
    return family === AF_INET6 ? { family, port, address: address.subarray(8, 24) } : undefined
  }

  /** Ends a connection, for all who have it. Nothing for a socket that has none. */
  hangUp({ fd }: Descriptor): void {
    try {
      this.#checked(this.#shutdown(fd, SHUT_RDWR), 'shutdown')
    } catch (error) {
      if (!isSystemError(error, 'ENOTCONN')) throw error
    }
  }

  /** Has nobody else have the address, though nobody listens there; undefined where somebody has it, or has had it until now. */
  hold(at: ListeningAddress): Descriptor | undefined {
    return this.#boundTo(at, false)
  }

  /** True where nobody listens at the address. */
  mayListen(at: ListeningAddress): boolean {
    // Connections that have just ended are in nobody's way so: socket(7), SO_REUSEADDR.
    using bound = this.#boundTo(at, true)
    return bound !== undefined
  }

  #boundTo({ family, address, port }: ListeningAddress, reuse: boolean): Descriptor | undefined {
    using stack = new DisposableStack()
    const bound = stack.use(descriptor(this.#checked(this.#socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), 'socket')))
    const set = (level: number, name: number) =>
      this.#checked(this.#setsockopt(bound.fd, level, name, ON, ON.length), 'setsockopt')
    if (family === AF_INET6) set(IPPROTO_IPV6, IPV6_V6ONLY)
    if (reuse) set(SOL_SOCKET, SO_REUSEADDR)
    const name = Buffer.alloc(family === AF_INET ? 16 : SOCKADDR_BYTES)
    name.writeUInt16LE(family, 0)
    name.writeUInt16BE(port, 2)
    address.copy(name, family === AF_INET ? 4 : 8)
    try {
      this.#checked(this.#bind(bound.fd, name, name.length), 'bind')
    } catch (error) {
      if (isSystemError(error, 'EADDRINUSE')) return undefined
      throw error
    }
    stack.move()
    return bound
  }

  #object(command: number, path: string, fd: number): number {
    const attributes = Buffer.alloc(16)
    attributes.writeUInt32LE(fd, 8)
    return this.#bpf(command, attributes, { at: 0, data: Buffer.from(`${path}\0`) })
  }

  /**
   * @param attributes part of union bpf_attr
   * @param parts what the attributes point to, and where; what the kernel has written there is in them afterwards
   */
  #bpf(command: number, attributes: Buffer, ...parts: { at: number; data: Buffer }[]): number {
    // One piece of memory, which is there for as long as the call takes.
    const all = Buffer.concat([attributes, ...parts.map(({ data }) => data)])
    const address = BigInt(this.#native.address(all))
    let offset = attributes.length
    for (const { at, data } of parts) {
      all.writeBigUInt64LE(address + BigInt(offset), at)
      offset += data.length
    }
    const result = this.#checked(this.#bpfCall(this.#bpfNumber, command, all, attributes.length), 'bpf')
    offset = attributes.length
    for (const { data } of parts) offset += all.copy(data, 0, offset, offset + data.length)
    return result
  }

  #checked(result: number, syscall: string): number {
    if (result < 0) throw systemError(this.#native.errno(), syscall)
    return result
  }
}

function descriptor(fd: number): Descriptor {
  return { fd, [Symbol.dispose]: () => closeSync(fd) }
}

/** The arguments of what is done to an element of a map; they point to the key, and to the value or the next key. */
function elementOf({ fd }: Descriptor): Buffer {
  const attributes = Buffer.alloc(32)
  attributes.writeUInt32LE(fd, 0)
  return attributes
}

function lengthOf(buffer: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(buffer.length)
  return length
}
