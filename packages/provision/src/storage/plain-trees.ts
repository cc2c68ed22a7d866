import { mkdir } from 'node:fs/promises'
import { fileSystemUsage } from './access.ts'
import { type CopyFile, copyTree, logicalBytes, removeTree, syncTree } from './tree.ts'
import type { Trees } from './trees.ts'

/** Trees that are cloned file by file: how one file becomes two is all that such drivers differ in. */
export function plainTrees(name: string, options: { check: Trees['check']; copyFile: CopyFile }): Trees {
  return {
    name,
    capabilities: { atomicSnapshot: false, ownBytes: false },
    check: options.check,
    remove: removeTree,
    poolUsage: fileSystemUsage,

    async make(path) {
      await mkdir(path, { mode: 0o700 })
    },

    async clone(from, to, as) {
      await copyTree(from, to, options.copyFile)
      if (as === 'snapshot') await syncTree(to)
    },

    async usage(path) {
      const bytes = await logicalBytes(path)
      return { ownBytes: bytes, logicalBytes: bytes }
    },
  }
}
