import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { constants as system } from 'node:os'
import { basename, dirname } from 'node:path'
import { run, withinCommandTimeout } from '../../exec.ts'
import { commandPoint, InjectedFault } from '../../faults/faults.ts'
import { loadNative, systemError } from '../../native.ts'
import { ownExtentBytes } from './own-extents.ts'

/** What is done to a subvolume for each clone. Rejects with a CommandError of `btrfs`, or with the system's own error. */
export interface SubvolumeCalls {
  /** Committed to disk when this resolves, with all that was done in the file system before. */
  snapshot(from: string, to: string, readOnly: boolean): Promise<void>
  delete(path: string): Promise<void>
  /** Makes what was written to a file part of what the next snapshot takes to disk. */
  settle(file: FileHandle): Promise<void>
  /** Bytes of the data that a subvolume has of its own; undefined where that can't be told without looking at all of it. Ends with the signal's reason. */
  ownBytes(path: string, signal: AbortSignal): Promise<number | undefined>
}

/** `_IOW(BTRFS_IOCTL_MAGIC, number, 4096 bytes)`, as Linux encodes it on x86, ARM and RISC-V (ioctl(2), asm-generic/ioctl.h). */
const request = (number: number) => 0x50009400 + number
// linux/btrfs.h: BTRFS_IOC_SNAP_DESTROY takes a struct btrfs_ioctl_vol_args, BTRFS_IOC_SNAP_CREATE_V2 a struct btrfs_ioctl_vol_args_v2.
const SNAP_DESTROY = { request: request(15), nameAt: 8, nameBytes: 4087 }
const SNAP_CREATE_V2 = { request: request(23), nameAt: 56, nameBytes: 4039 }
const ARGUMENT_BYTES = 4096
const FLAGS_AT = 16
const READ_ONLY = 1n << 1n
/**
 * FS_IOC_FIEMAP, `_IOWR('f', 11, struct fiemap)`, for one extent: 32 bytes of request, 56 of answer (linux/fiemap.h; Linux documentation,
 * "Fiemap Ioctl").
 */
const FIEMAP = {
  request: 0xc020660b,
  bytes: 88,
  lengthAt: 8,
  flagsAt: 16,
  mappedAt: 20,
  countAt: 24,
  extentFlagsAt: 72,
}
const FIEMAP_FLAG_SYNC = 1
const FIEMAP_EXTENT_DATA_INLINE = 0x200

/** What the same is called where a program does it: faults and messages name it so. */
const SNAPSHOT = ['btrfs', 'subvolume', 'snapshot'] as const
const DELETE = ['btrfs', 'subvolume', 'delete'] as const

export type Ioctl = (fd: number, request: number, argument: Buffer) => Promise<void>

/** Straight from the kernel; by the program `btrfs` where the binding has no build for this machine, which takes a process each time. */
export function openSubvolumeCalls(): SubvolumeCalls {
  const ioctl = loadIoctl()
  return ioctl ? callsByKernel(ioctl) : CALLS_BY_PROGRAM
}

export const CALLS_BY_PROGRAM: SubvolumeCalls = {
  async snapshot(from, to, readOnly) {
    await run([...SNAPSHOT, ...(readOnly ? ['-r'] : []), from, to])
  },
  async delete(path) {
    await run([...DELETE, path])
  },
  settle: (file) => file.sync(),
  ownBytes: async () => undefined,
}

function callsByKernel(ioctl: Ioctl): SubvolumeCalls {
  return {
    snapshot: (from, to, readOnly) =>
      asProgram(SNAPSHOT, async () => {
        await using source = await openDirectory(from)
        const argument = argumentOf(basename(to), SNAP_CREATE_V2)
        argument.writeBigInt64LE(BigInt(source.fd), 0)
        argument.writeBigUInt64LE(readOnly ? READ_ONLY : 0n, FLAGS_AT)
        await using parent = await openDirectory(dirname(to))
        await ioctl(parent.fd, SNAP_CREATE_V2.request, argument)
      }),
    delete: (path) =>
      asProgram(DELETE, async () => {
        await using parent = await openDirectory(dirname(path))
        await ioctl(parent.fd, SNAP_DESTROY.request, argumentOf(basename(path), SNAP_DESTROY))
      }),
    // A small file lies in the file system's own tree (btrfs(5), max_inline), once it is no longer in memory alone.
    settle: async (file) => {
      if (!(await isInline(ioctl, file))) await file.sync()
    },
    ownBytes: async (path, signal) => {
      if (process.geteuid?.() !== 0) return undefined
      await using subvolume = await openDirectory(path)
      // A call that is under way can't be stopped, but the next need not be made.
      const unlessStopped: Ioctl = async (...call) => {
        signal.throwIfAborted()
        await ioctl(...call)
      }
      return await ownExtentBytes(unlessStopped, subvolume.fd)
    },
  }
}

/** Has the file system find a place for what was written to the file, and tells whether that is its own tree. */
async function isInline(ioctl: Ioctl, file: FileHandle): Promise<boolean> {
  const argument = Buffer.alloc(FIEMAP.bytes)
  argument.fill(0xff, FIEMAP.lengthAt, FIEMAP.flagsAt)
  argument.writeUInt32LE(FIEMAP_FLAG_SYNC, FIEMAP.flagsAt)
  argument.writeUInt32LE(1, FIEMAP.countAt)
  await ioctl(file.fd, FIEMAP.request, argument)
  const isInline = (argument.readUInt32LE(FIEMAP.extentFlagsAt) & FIEMAP_EXTENT_DATA_INLINE) !== 0
  return argument.readUInt32LE(FIEMAP.mappedAt) === 1 && isInline
}

/** With the time that a program would have, and the faults that would strike it. */
async function asProgram(program: readonly [string, ...string[]], call: () => Promise<void>): Promise<void> {
  try {
    await withinCommandTimeout(program, async () => {
      await commandPoint('before', program)
      await call()
      await commandPoint('after', program)
    })
  } catch (error) {
    throw error instanceof InjectedFault ? systemError(system.errno.EIO, 'ioctl', error) : error
  }
}

function argumentOf(name: string, { nameAt, nameBytes }: { nameAt: number; nameBytes: number }): Buffer {
  if (Buffer.byteLength(name) > nameBytes) throw new Error('a name is longer than any file system has one')
  const argument = Buffer.alloc(ARGUMENT_BYTES)
  argument.write(name, nameAt)
  return argument
}

function openDirectory(path: string) {
  return open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
}

function loadIoctl(): Ioctl | undefined {
  const koffi = loadNative()
  if (!koffi) return undefined
  const ioctl = koffi.load(null).func('int ioctl(int fd, unsigned long request, void *argument)')
  return (fd, request, argument) =>
    new Promise((resolve, reject) => {
      ioctl.async(fd, request, argument, (error: unknown, result: number) => {
        // Of the thread that made the call, until the next one.
        // Some calls leave a number above 0 where they have found what was asked for.
        if (error || result < 0) reject(error ?? systemError(koffi.errno(), 'ioctl'))
        else resolve()
      })
    })
}
