import { createRequire } from 'node:module'
import { getSystemErrorName } from 'node:util'

export type Native = typeof import('koffi')

/** What calls functions of the C library; undefined where it is not installed, or has no build for this processor or C library. */
export function loadNative(): Native | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return createRequire(import.meta.url)('koffi')
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return undefined
  }
}

/** As Node itself would have it. */
export function systemError(errno: number, syscall: string, cause?: unknown): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno)
  return Object.assign(new Error(`${code}, ${syscall}`, { cause }), { errno: -errno, code, syscall })
}
