import type { Ioctl } from './subvolume-calls.ts'

// linux/btrfs.h, btrfs_tree.h: BTRFS_IOC_GET_SUBVOL_INFO, BTRFS_IOC_TREE_SEARCH_V2 with a struct btrfs_ioctl_search_args_v2.
const GET_SUBVOL_INFO = { request: 0x81f8943c, bytes: 504 }
const TREE_SEARCH_V2 = { request: 0xc0709411, keyBytes: 112, headerBytes: 32 }
const BUFFER_BYTES = 64 * 1024
const ROOT_TREE = 1n
const ROOT_ITEM = 132
const EXTENT_DATA = 108
const MOST = 2n ** 64n - 1n
const MOST_OF_32 = 0xffff_ffff
/** Fields of a struct btrfs_root_item, and of a struct btrfs_file_extent_item, both without padding. */
const ROOT = { lastSnapshotAt: 200, madeAt: 303, bytes: 311 }
const EXTENT = { diskBytesAt: 29, bytesAt: 45, compressionAt: 16, ramBytesAt: 8, kindAt: 20, diskAt: 21, bytes: 53 }
const INLINE = 0

interface Key {
  objectId: bigint
  type: number
  offset: bigint
}

interface Range {
  tree: bigint
  from: Key
  to: Key
  /** Of the blocks of the tree that are looked at: those that were written since. */
  sinceTransaction: bigint
}

/**
 * Bytes of the data that a subvolume has of its own: of the extents that were written since it was made, at a cost that grows with their number
 * and not with what it shares. btrfs keeps in each block of a tree in which transaction it was written.
 *
 * @param fd of the subvolume
 * @returns undefined where a snapshot of it was taken, or it was none of another: then transactions do not tell what is shared
 * @throws system error EPERM for any account but root
 */
export async function ownExtentBytes(ioctl: Ioctl, fd: number): Promise<number | undefined> {
  const info = Buffer.alloc(GET_SUBVOL_INFO.bytes)
  await ioctl(fd, GET_SUBVOL_INFO.request, info)
  const tree = info.readBigUInt64LE(0)
  const made = await transactionOf(ioctl, fd, tree)
  if (made === undefined) return undefined
  let bytes = 0
  const all = { from: { objectId: 0n, type: 0, offset: 0n }, to: { objectId: MOST, type: 255, offset: MOST } }
  await search(ioctl, fd, { tree, ...all, sinceTransaction: made + 1n }, (found, at) => {
    if (typeOf(found, at) === EXTENT_DATA) bytes += ownBytesOf(itemOf(found, at), made)
  })
  return bytes
}

/** In which it was made; undefined where a snapshot of it was taken later. */
async function transactionOf(ioctl: Ioctl, fd: number, tree: bigint): Promise<bigint | undefined> {
  let made: bigint | undefined
  const of = { objectId: tree, type: ROOT_ITEM }
  const range = { tree: ROOT_TREE, from: { ...of, offset: 0n }, to: { ...of, offset: MOST }, sinceTransaction: 0n }
  await search(ioctl, fd, range, (found, at) => {
    const item = itemOf(found, at)
    if (keyOf(found, at).objectId !== tree || typeOf(found, at) !== ROOT_ITEM || item.length < ROOT.bytes) return
    const last = item.readBigUInt64LE(ROOT.lastSnapshotAt)
    const own = item.readBigUInt64LE(ROOT.madeAt)
    made = last > 0n && last <= own ? own : undefined
  })
  return made
}

function ownBytesOf(item: Buffer, made: bigint): number {
  if (item.length < EXTENT.bytes || item[EXTENT.kindAt] === INLINE) return 0
  // A hole has no place on the disk; what was written before is shared.
  if (item.readBigUInt64LE(EXTENT.diskAt) === 0n || item.readBigUInt64LE(0) <= made) return 0
  const bytes = Number(item.readBigUInt64LE(EXTENT.bytesAt))
  if (item[EXTENT.compressionAt] === 0) return bytes
  return (bytes * Number(item.readBigUInt64LE(EXTENT.diskBytesAt))) / Number(item.readBigUInt64LE(EXTENT.ramBytesAt))
}

/**
 * A call for a part of the range after the other. Of most of the items nothing but the type is read: objects made of each would be most of what the
 * server makes.
 *
 * @param found given what a call has found, and where in that the header of an item is (struct btrfs_ioctl_search_header)
 */
async function search(
  ioctl: Ioctl,
  fd: number,
  { tree, from, to, sinceTransaction }: Range,
  found: (argument: Buffer, at: number) => void,
): Promise<void> {
  const argument = spare.pop() ?? Buffer.alloc(TREE_SEARCH_V2.keyBytes + BUFFER_BYTES)
  try {
    for (let next: Key | undefined = from; next; ) {
      argument.fill(0, 0, TREE_SEARCH_V2.keyBytes)
      const words = [tree, next.objectId, to.objectId, next.offset, to.offset, sinceTransaction, MOST]
      for (const [index, word] of words.entries()) argument.writeBigUInt64LE(word, index * 8)
      argument.writeUInt32LE(next.type, 56)
      argument.writeUInt32LE(to.type, 60)
      argument.writeUInt32LE(MOST_OF_32, 64)
      argument.writeBigUInt64LE(BigInt(BUFFER_BYTES), 104)
      await ioctl(fd, TREE_SEARCH_V2.request, argument)
      let last: number | undefined
      for (let at = TREE_SEARCH_V2.keyBytes, left = argument.readUInt32LE(64); left > 0; left--) {
        found(argument, at)
        last = at
        at = endOf(argument, at)
      }
      next = last === undefined ? undefined : keyAfter(keyOf(argument, last))
    }
  } finally {
    spare.push(argument)
  }
}

/** Of searches that have ended: 64 KiB outside of the heap for each clone and minute would have it collected all the time. */
const spare: Buffer[] = []

function keyOf(argument: Buffer, at: number): Key {
  return {
    objectId: argument.readBigUInt64LE(at + 8),
    offset: argument.readBigUInt64LE(at + 16),
    type: typeOf(argument, at),
  }
}

function typeOf(argument: Buffer, at: number): number {
  return argument.readUInt32LE(at + 24)
}

function itemOf(argument: Buffer, at: number): Buffer {
  return argument.subarray(at + TREE_SEARCH_V2.headerBytes, endOf(argument, at))
}

/** Where the header of the next one is. */
function endOf(argument: Buffer, at: number): number {
  return at + TREE_SEARCH_V2.headerBytes + argument.readUInt32LE(at + 28)
}

function keyAfter({ objectId, type, offset }: Key): Key | undefined {
  if (offset < MOST) return { objectId, type, offset: offset + 1n }
  if (type < 255) return { objectId, type: type + 1, offset: 0n }
  return objectId < MOST ? { objectId: objectId + 1n, type: 0, offset: 0n } : undefined
}
