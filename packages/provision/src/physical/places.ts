import { join } from 'node:path'
import { dataDirOf } from '../cluster-volumes.ts'
import type { Volume } from '../storage/driver.ts'

/** Where in a volume a cluster that comes from elsewhere goes. Both directories are there, empty, private, and the account's. */
export interface Places {
  /** The top of the volume. */
  volumePath: string
  /** The data directory. */
  dataDir: string
  /** Tablespaces go below it, by their numbers or by any name that a link in pg_tblspc leads to. */
  tablespacesDir: string
}

export function placesIn(volume: Volume): Places {
  return {
    volumePath: volume.path,
    dataDir: dataDirOf(volume),
    tablespacesDir: join(volume.path, 'tablespaces'),
  }
}
