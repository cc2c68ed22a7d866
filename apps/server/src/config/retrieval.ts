import { isProvisionError } from '@dblab/provision'
import { Cron } from 'croner'
import { z } from 'zod'
import { parseSourceUrl } from '../retrieval/live/address.ts'
import { archiveSource } from './archive-source.ts'
import { bytes } from './bytes.ts'
import { directorySource } from './directory-source.ts'
import { maskingSchema } from './masking.ts'

const patterns = z.array(z.string().min(1)).default([])

const sourceUrl = z.string().superRefine((url, context) => {
  try {
    parseSourceUrl(url)
  } catch (error) {
    if (!isProvisionError(error, 'INVALID')) throw error
    context.addIssue({ code: 'custom', message: [error.message, error.hint].join('. ') })
  }
})

const password = {
  passwordEnv: z.string().min(1).optional().describe('Environment variable of the server that holds the password'),
  passwordFile: z.string().min(1).optional().describe('File that holds the password, which nobody else may read'),
}

const onePassword = ({ passwordEnv, passwordFile }: { passwordEnv?: unknown; passwordFile?: unknown }) =>
  passwordEnv === undefined || passwordFile === undefined
const onePasswordError = { path: ['passwordFile'], error: 'must be left out where passwordEnv is given' }

export const logicalSource = z
  .strictObject({
    kind: z.literal('logical').describe('A live PostgreSQL server, read with `pg_dump`'),
    url: sourceUrl.describe(
      'Its address, as `postgresql://USER@HOST:PORT/DATABASE?sslmode=require`, without the password',
    ),
    ...password,
    databases: z
      .union([z.array(z.string().min(1)).min(1), z.literal('all')], { error: 'must be a list of names, or all' })
      .optional()
      .describe('Databases to bring in, the main one first, or `all`; left out: that of the address'),
    schemas: patterns.describe("Schemas that are wanted, as pg_dump's patterns; empty: all"),
    tables: patterns.describe('Tables that are wanted, of schemas that are there; empty: all'),
    excludeSchemas: patterns.describe('Schemas that stay out'),
    excludeTables: patterns.describe('Tables that stay out'),
    excludeTableData: patterns.describe('Tables that come without their rows'),
    excludeLargeObjects: z.boolean().default(false).describe('Large objects stay out'),
    jobs: z.int().min(1).max(64).default(2).describe('Tables read at once, each over a connection of its own'),
    maxSnapshotMinutes: z
      .number()
      .positive()
      .max(10_080)
      .default(240)
      .describe(
        "A snapshot is held no longer on the source, whose vacuum waits for it; what isn't dumped by then fails",
      ),
    anyLocale: z
      .boolean()
      .default(false)
      .describe("Take the lab's own locale where the machine lacks that of the source: text sorts in another order"),
  })
  .refine(onePassword, onePasswordError)

const physicalSource = z
  .strictObject({
    kind: z.literal('physical').describe('The files of a live server or standby, copied with `pg_basebackup`'),
    url: sourceUrl.describe(
      'Its address, as `postgresql://USER@HOST:PORT/DATABASE?sslmode=require`, without the password; the role needs REPLICATION, the database is the main one',
    ),
    ...password,
    follow: z
      .union(
        [
          z.boolean(),
          z.strictObject({
            slot: z
              .string()
              .regex(/^[a-z0-9_]{1,63}$/)
              .optional(),
            restoreCommand: z.array(z.string()).min(1).optional(),
          }),
        ],
        { error: 'must be true, false, or a map with slot and restoreCommand' },
      )
      .default(false)
      .describe(
        'Keep a standby in the lab that follows the source, so that a refresh takes seconds. As a map: `slot`, a physical slot that is there and that `max_slot_wal_keep_size` bounds; `restoreCommand`, a list of arguments that fetches what the source has thrown away (`%f` the file, `%p` where it goes)',
      ),
    maxRate: bytes.optional().describe('Bytes a second at most, such as `50MB`; left out: no bound'),
    anyLocale: z
      .boolean()
      .default(false)
      .describe(
        'Take text as it is that was sorted by another version of a locale than this machine has: indexes may miss rows',
      ),
  })
  .refine(onePassword, onePasswordError)

const fileSource = z.strictObject({
  kind: z.literal('file').describe('A dump: plain SQL, or a custom file, tar file or directory of `pg_dump`'),
  path: z.string().min(1).describe('Where it is'),
})

const isSchedule = (expression: string): boolean => {
  try {
    new Cron(expression, { paused: true }).stop()
    return true
  } catch (error) {
    // croner raises TypeError for a pattern, and RangeError for a part of it that is out of its range.
    if (error instanceof TypeError || error instanceof RangeError) return false
    throw error
  }
}

/** Where data comes from, and when. */
export const retrieval = z
  .strictObject({
    sources: z
      .array(z.discriminatedUnion('kind', [logicalSource, physicalSource, archiveSource, directorySource, fileSource]))
      .default([])
      .describe('Where the data comes from: all of them together fill one generation'),
    schedule: z
      .string()
      .refine(isSchedule, { error: 'must be a cron expression, such as "0 3 * * *"' })
      .optional()
      .describe('When a new generation is made, as a cron expression such as `0 3 * * *`; left out: when asked for'),
    timeZone: z
      .string()
      .refine((name) => isTimeZone(name), { error: 'must be a time zone, such as Europe/Berlin' })
      .default('UTC')
      .describe('The time zone that `schedule` is read in, such as `Europe/Berlin`'),
    attempts: z.int().min(1).max(100).default(3).describe('How often a run begins again whose source was lost'),
    retrySeconds: z
      .number()
      .positive()
      .max(3600)
      .default(30)
      .describe(
        'How long it waits before the second attempt, and twice as long before each one after, up to 5 minutes',
      ),
    keep: z
      .strictObject({
        count: z
          .int()
          .min(1)
          .default(3)
          .describe('Generations that are kept: what is in use or protected stays in any case'),
        days: z
          .number()
          .positive()
          .optional()
          .describe('Generations whose data is older go too, but for the newest; left out: no bound'),
      })
      .prefault({}),
    masking: maskingSchema
      .optional()
      .describe('What becomes of data before anybody sees it: docs/masking.md; left out: nothing'),
    keepSettings: z
      .boolean()
      .default(false)
      .describe(
        'Keep what databases and roles of the data are set to under names with a dot, such as `app.key`: clones can read it, and it may be a secret',
      ),
    maxAgeHours: z.number().positive().optional().describe('Data that is older makes the lab WARNING; left out: never'),
  })
  .prefault({})

export type RetrievalConfig = z.infer<typeof retrieval>
export type SourceConfig = RetrievalConfig['sources'][number]

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}
