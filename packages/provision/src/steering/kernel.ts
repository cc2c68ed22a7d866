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
const LINK_CREATE = 28
const MAP_TYPE_SOCKHASH = 18
const PROG_TYPE_SK_LOOKUP = 30
const ATTACH_SK_LOOKUP = 36

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
  readonly #getsockname: (fd: number, address: Buffer, length: Buffer) => number

  private constructor(native: Native, bpfNumber: number) {
    this.#native = native
    this.#bpfNumber = bpfNumber
    const library = native.load(null)
    this.#bpfCall = library.func('long syscall(long number, long command, _Inout_ uint8_t *attributes, long bytes)')
    this.#pidfdCall = library.func('long syscall(long number, long a, long b, long c)')
    this.#getsockname = library.func('int getsockname(int fd, _Out_ uint8_t *address, _Inout_ uint8_t *length)')
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
    const license = Buffer.from('Apache-2.0\0')
    const load = Buffer.alloc(72)
    load.writeUInt32LE(PROG_TYPE_SK_LOOKUP, 0)
    load.writeUInt32LE(code.length / 8, 4)
    load.writeBigUInt64LE(this.#at(code), 8)
    load.writeBigUInt64LE(this.#at(license), 16)
    load.write(NAME, 48)
    load.writeUInt32LE(ATTACH_SK_LOOKUP, 68)
    using program = descriptor(this.#bpf(PROG_LOAD, load))
    const link = Buffer.alloc(64)
    link.writeUInt32LE(program.fd, 0)
    link.writeUInt32LE(namespace, 4)
    link.writeUInt32LE(ATTACH_SK_LOOKUP, 8)
    return descriptor(this.#bpf(LINK_CREATE, link))
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
    this.#bpf(MAP_UPDATE_ELEM, elementOf(map, this.#at(key), this.#at(value)))
  }

  remove(map: Descriptor, key: Buffer): void {
    try {
      this.#bpf(MAP_DELETE_ELEM, elementOf(map, this.#at(key)))
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
      try {
        this.#bpf(MAP_GET_NEXT_KEY, elementOf(map, last ? this.#at(last) : 0n, this.#at(next)))
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

  /** Where a socket is bound; undefined for one of another family. */
  addressOf({ fd }: Descriptor): ListeningAddress | undefined {
    const address = Buffer.alloc(SOCKADDR_BYTES)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(SOCKADDR_BYTES)
    if (this.#getsockname(fd, address, length) !== 0) throw systemError(this.#native.errno(), 'getsockname')
    const [family, port] = [address.readUInt16LE(0), address.readUInt16BE(2)]
    // struct sockaddr_in and sockaddr_in6: ip(7), ipv6(7)
    if (family === AF_INET) return { family, port, address: address.subarray(4, 8) }
    return family === AF_INET6 ? { family, port, address: address.subarray(8, 24) } : undefined
  }

  #object(command: number, path: string, fd: number): number {
    const name = Buffer.from(`${path}\0`)
    const attributes = Buffer.alloc(16)
    attributes.writeBigUInt64LE(this.#at(name), 0)
    attributes.writeUInt32LE(fd, 8)
    return this.#bpf(command, attributes)
  }

  #bpf(command: number, attributes: Buffer): number {
    return this.#checked(this.#bpfCall(this.#bpfNumber, command, attributes, attributes.length), 'bpf')
  }

  #checked(result: number, syscall: string): number {
    if (result < 0) throw systemError(this.#native.errno(), syscall)
    return result
  }

  #at(buffer: Buffer): bigint {
    return BigInt(this.#native.address(buffer))
  }
}

function descriptor(fd: number): Descriptor {
  return { fd, [Symbol.dispose]: () => closeSync(fd) }
}

/** The arguments of what is done to an element of a map: the key, and the value or the next key. */
function elementOf(map: Descriptor, key: bigint, other = 0n): Buffer {
  const attributes = Buffer.alloc(32)
  attributes.writeUInt32LE(map.fd, 0)
  attributes.writeBigUInt64LE(key, 8)
  attributes.writeBigUInt64LE(other, 16)
  return attributes
}
