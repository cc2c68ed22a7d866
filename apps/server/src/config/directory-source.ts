import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { absolute, ofCluster } from './archive-source.ts'

const isWithin = (path: string) => !isAbsolute(path) && !path.split('/').includes('..')

/** Data that is on this machine. */
export const directorySource = z
  .strictObject({
    kind: z
      .literal('directory')
      .describe('A data directory on this machine, on which no server runs, or a snapshot that the pool has already'),
    path: absolute.optional().describe('The data directory itself, the one with PG_VERSION: it is copied'),
    from: z
      .string()
      .min(1)
      .optional()
      .describe(
        'In place of `path`, what is cloned in the pool and not copied: a snapshot of ZFS (`tank/prod@monday`) or a dataset whose newest is taken (`tank/prod`); a subvolume of btrfs, or a directory with subvolumes',
      ),
    snapshots: z
      .enum(['newest', 'all'])
      .default('newest')
      .describe('With `from`: `all` makes each snapshot a generation, up to `retrieval.keep.count` of them'),
    directory: z
      .string()
      .refine(isWithin, { error: 'must be a path within the snapshot' })
      .default('')
      .describe('With `from`: where the data directory lies in it, such as `15/main`; left out: at its top'),
    ...ofCluster,
  })
  .refine(({ path, from }) => (path === undefined) !== (from === undefined), {
    error: 'must have either path or from',
  })
  .refine(({ path, snapshots, directory }) => path === undefined || (snapshots === 'newest' && directory === ''), {
    path: ['path'],
    error: 'goes without snapshots and directory, which are for from',
  })
