import { z } from 'zod'
import { absolute, ofCluster } from './archive-source.ts'

/** A data directory on this machine. */
export const directorySource = z.strictObject({
  kind: z.literal('directory').describe('A data directory on this machine, on which no server runs: it is copied'),
  path: absolute.describe('The data directory itself, the one with PG_VERSION'),
  ...ofCluster,
})
