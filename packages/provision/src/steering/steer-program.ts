/** Room of a key: family and port in the order of the machine, then the address, zeros after one of IPv4. */
export const KEY_BYTES = 24
export const AF_INET = 2
export const AF_INET6 = 10

/** The key of a port at an address; at every address of its family, for one of zeros. */
export function keyOf(family: number, port: number, address: Buffer): Buffer {
  const key = Buffer.alloc(KEY_BYTES)
  key.writeUInt32LE(family, 0)
  key.writeUInt32LE(port, 4)
  address.copy(key, 8)
  return key
}

export function portOf(key: Buffer): number {
  return key.readUInt32LE(4)
}

// Instructions (Linux documentation, "BPF Instruction Set Architecture"), of which these are enough.
const LOAD = 0x61
const STORE = 0x63
const STORE_NUMBER = 0x62
const MOVE = 0xbf
const MOVE_NUMBER = 0xb7
const ADD_NUMBER = 0x07
const LOAD_MAP = 0x18
const CALL = 0x85
const JUMP = 0x05
const JUMP_IF_EQUAL = 0x15
const JUMP_IF_NOT_EQUAL = 0x55
const EXIT = 0x95
/** In the field of the source register of LOAD_MAP: the number is a descriptor. */
const IS_MAP = 1
// linux/bpf.h, enum bpf_func_id
const MAP_LOOKUP_ELEM = 1
const SK_RELEASE = 86
const SK_ASSIGN = 124
const SK_PASS = 1
const IPPROTO_TCP = 6
/** Where struct bpf_sk_lookup has what of the connection is looked for (linux/bpf.h). */
const OF = { family: 8, protocol: 12, localIp4: 40, localIp6: 44, localPort: 60 }
/** The frame's end. */
const R10 = 10
const KEY_AT = -KEY_BYTES
const ADDRESS_AT = KEY_AT + 8

/**
 * What the kernel runs for each connection that is begun: it looks for the port at that address in the map, then for the port at every address, and
 * gives the connection to the socket that it finds; else all goes on as without it (Linux documentation, "BPF sk_lookup program").
 *
 * @param map descriptor of a BPF_MAP_TYPE_SOCKHASH with keys of `keyOf`
 */
export function steerProgram(map: number): Buffer {
  const code: Buffer[] = []
  const labels = new Map<string, number>()
  const jumps: { at: number; to: string }[] = []
  const add = (operation: number, to = 0, from = 0, offset = 0, number = 0) => {
    const instruction = Buffer.alloc(8)
    instruction.writeUInt8(operation, 0)
    instruction.writeUInt8(to | (from << 4), 1)
    instruction.writeInt16LE(offset, 2)
    instruction.writeInt32LE(number, 4)
    code.push(instruction)
  }
  const jump = (operation: number, to: string, register = 0, number = 0) => {
    jumps.push({ at: code.length, to })
    add(operation, register, 0, 0, number)
  }
  const here = (label: string) => labels.set(label, code.length)
  /** Part of the context, which register 6 points at, to the key. */
  const copy = (from: number, at: number) => {
    add(LOAD, 1, 6, from)
    add(STORE, R10, 1, at)
  }
  const lookUp = () => {
    add(LOAD_MAP, 1, IS_MAP, 0, map)
    add(0)
    add(MOVE, 2, R10)
    add(ADD_NUMBER, 2, 0, 0, KEY_AT)
    add(CALL, 0, 0, 0, MAP_LOOKUP_ELEM)
  }
  add(MOVE, 6, 1)
  add(LOAD, 1, 6, OF.protocol)
  jump(JUMP_IF_NOT_EQUAL, 'pass', 1, IPPROTO_TCP)
  copy(OF.family, KEY_AT)
  copy(OF.localPort, KEY_AT + 4)
  add(LOAD, 1, 6, OF.family)
  jump(JUMP_IF_EQUAL, 'IPv6', 1, AF_INET6)
  copy(OF.localIp4, ADDRESS_AT)
  for (const word of [4, 8, 12]) add(STORE_NUMBER, R10, 0, ADDRESS_AT + word, 0)
  jump(JUMP, 'look up')
  here('IPv6')
  for (const word of [0, 4, 8, 12]) copy(OF.localIp6 + word, ADDRESS_AT + word)
  here('look up')
  lookUp()
  jump(JUMP_IF_NOT_EQUAL, 'found')
  for (const word of [0, 4, 8, 12]) add(STORE_NUMBER, R10, 0, ADDRESS_AT + word, 0)
  lookUp()
  jump(JUMP_IF_EQUAL, 'pass')
  here('found')
  add(MOVE, 7, 0)
  add(MOVE, 1, 6)
  add(MOVE, 2, 7)
  add(MOVE_NUMBER, 3)
  add(CALL, 0, 0, 0, SK_ASSIGN)
  add(MOVE, 1, 7)
  add(CALL, 0, 0, 0, SK_RELEASE)
  here('pass')
  add(MOVE_NUMBER, 0, 0, 0, SK_PASS)
  add(EXIT)
  for (const { at, to } of jumps) code[at]?.writeInt16LE((labels.get(to) ?? 0) - at - 1, 2)
  return Buffer.concat(code)
}
