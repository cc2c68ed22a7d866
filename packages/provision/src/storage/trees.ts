import type { FileHandle } from 'node:fs/promises'
import type { ProvisionError } from '../errors.ts'
import type { CommandError } from '../exec.ts'
import type { ForeignTree, PoolUsage, StorageDriver, VolumeUsage } from './driver.ts'

/** What one file system can do with a file tree: all that a driver which keeps its volumes in a directory adds of its own. */
export interface Trees {
  readonly name: string
  readonly capabilities: StorageDriver['capabilities']
  /** Throws UNAVAILABLE when it can't work in this directory, which exists. */
  check(directory: string): Promise<void>
  /** Once the directory is there, before any other call. */
  open?(directory: string): Promise<void>
  /** Makes an empty tree. */
  make(path: string): Promise<void>
  /**
   * Makes `to` a copy of the tree `from`. A snapshot is on disk when this resolves, and nobody will write to it. A volume is on disk when
   * the directory that it is in has been flushed, at the latest.
   */
  clone(from: string, to: string, as: 'volume' | 'snapshot'): Promise<void>
  /**
   * Where `clone` makes the whole tree appear at once, on disk with all that was done in the file system before: makes what was just written to
   * a file part of that. Else there is none.
   */
  settle?(file: FileHandle): Promise<void>
  /** Where `capabilities` say so: see `StorageDriver`. `root` is the pool's directory. */
  foreign?: {
    list(name: string, root: string): Promise<ForeignTree[]>
    clone(name: string, to: string, root: string): Promise<void>
  }
  /** Removes a whole tree, or a part of one that `make` or `clone` left; absent is fine. */
  remove(path: string): Promise<void>
  /** Bounds what a volume that `clone` has just made may hold of its own. Where `capabilities` say so. */
  limit?(path: string, quotaBytes: number): Promise<void>
  usage(path: string, signal?: AbortSignal): Promise<VolumeUsage>
  /** Where a tree is not gone with its removal: see `StorageDriver`. */
  untilFreed?(directory: string, signal?: AbortSignal): Promise<void>
  poolUsage(directory: string): Promise<PoolUsage>
  freeBytes(directory: string): Promise<number>
  /** What the failure of a program that it ran means. */
  explain?(error: CommandError, doing: string): ProvisionError
}
