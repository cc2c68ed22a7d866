import { checkSettings, isProvisionError, PROFILES } from '@dblab/provision'
import { z } from 'zod'
import { bytes } from './bytes.ts'
import { retrieval } from './retrieval.ts'

const tcpPort = z.int().min(1).max(65535)

const tls = z
  .strictObject({
    certFile: z.string().min(1).describe('PEM file with the certificate, its chain after it'),
    keyFile: z.string().min(1).describe('PEM file with the private key'),
  })
  .describe('Answer HTTPS with this certificate')

const clonesTls = z
  .union([z.literal(false), z.strictObject({ certFile: z.string().min(1), keyFile: z.string().min(1) })], {
    error: 'must be false, or a map with certFile and keyFile',
  })
  .optional()
  .describe(
    'Certificate of the clones, as `{ certFile, keyFile }`: then they take connections over TLS alone. Left out: that of the API, unless `postgres.allowSuperusers` lets clones read its key; false: none. A clone that runs without one gets it when it is started again or reset',
  )

const storage = z
  .strictObject({
    driver: z
      .enum(['auto', 'zfs', 'btrfs', 'reflink', 'copy'])
      .default('auto')
      .describe(
        'Where volumes live; `auto` takes the first of zfs, btrfs, reflink, copy that works. Kept once the lab is made',
      ),
    dataset: z
      .string()
      .min(1)
      .optional()
      .describe('The ZFS dataset to keep everything below, such as `tank/dblab`; `zfs` needs it'),
    imageSize: bytes
      .optional()
      .describe(
        'Size of the embedded btrfs pool, a sparse file that takes what is used: bytes, or such as `64GB`. Raised later, the pool grows. Left out: 80 % of what is free when the lab is made',
      ),
    commandSeconds: z
      .number()
      .positive()
      .max(86_400)
      .default(120)
      .describe(
        'A storage program (`zfs`, `btrfs`) that takes longer is stopped, and what asked for it fails. Not for two on btrfs: how much a clone holds is measured for up to 15 minutes, and quotas that are counted anew are waited for up to 5',
      ),
    lowFreePercent: z.number().min(0).max(100).default(15).describe('Free space below this makes the lab WARNING'),
    criticalFreePercent: z
      .number()
      .min(0)
      .max(100)
      .default(5)
      .describe('Free space below this makes the lab refuse new clones and snapshots'),
  })
  .refine(({ lowFreePercent, criticalFreePercent }) => criticalFreePercent <= lowFreePercent, {
    path: ['criticalFreePercent'],
    error: 'must not be above storage.lowFreePercent',
  })
  .prefault({})

const postgres = z
  .strictObject({
    version: z.int().min(14).max(18).optional().describe('Major version of a new lab; left out: the embedded one'),
    binDir: z
      .string()
      .min(1)
      .optional()
      .describe("Directory with `postgres` and `initdb`; left out: npm's, then the system's"),
    user: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Account that runs Postgres when the server runs as root; left out: that of the lab; for a new one the first there is of dblab, postgres, nobody',
      ),
    settings: z
      .record(
        z.string(),
        z.union([z.string(), z.number(), z.boolean()], { error: 'must be a text, a number, or true or false' }),
      )
      .superRefine((settings, context) => {
        for (const [name, value] of Object.entries(settings)) {
          try {
            checkSettings({ [name]: String(value) })
          } catch (error) {
            if (!isProvisionError(error, 'INVALID')) throw error
            context.addIssue({ code: 'custom', path: [name], message: error.message })
          }
        }
      })
      .default({})
      .describe('Postgres settings of every clone, over the defaults of the lab'),
    startSeconds: z
      .number()
      .positive()
      .max(86_400)
      .default(60)
      .describe(
        "A new or reset clone's Postgres that is not ready by then has failed; and so has the first login of its user that takes as long again",
      ),
    recoverySeconds: z
      .number()
      .positive()
      .max(86_400)
      .default(900)
      .describe('The same for one that is started again, which may have much to recover'),
    allowSuperusers: z
      .boolean()
      .default(false)
      .describe(
        'Superusers of the data stay superusers when it is imported, and a clone can be asked for under their names. Whoever has that clone can run programs on the host',
      ),
  })
  .prefault({})

const clones = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe(
        'Address that the clones listen on; a clone that runs keeps its own until it is started again or reset',
      ),
    publicHost: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Host name in the connection strings; left out: `clones.host`, or the name of the machine where that is an address of all',
      ),
    tls: clonesTls,
    portFrom: tcpPort.default(16000).describe('First port that a clone may get'),
    portTo: tcpPort.default(16999).describe('Last port that a clone may get'),
    idleMinutes: z
      .number()
      .min(0)
      .default(0)
      .describe(
        'Delete clones that nobody used for so long (an open session is use; one that is FATAL stays, to be looked at); 0: never',
      ),
    max: z.int().min(1).optional().describe('Clones at most in the whole lab; left out: no bound'),
    maxPerToken: z
      .int()
      .min(1)
      .optional()
      .describe("Clones at most that one token made; the lab's first counts as one. Left out: no bound"),
    maxPerProject: z
      .int()
      .min(1)
      .optional()
      .describe('Clones at most of one `project`; those without one count as one project. Left out: no bound'),
    maxPerUsername: z
      .int()
      .min(1)
      .optional()
      .describe(
        "Clones at most of one `username` (the clone's, not the database's); those without one count as one. Left out: no bound",
      ),
    memoryMax: bytes
      .optional()
      .describe(
        'Memory of a clone, all its processes together: bytes, or such as `1GiB`; beyond it one of them is killed, and its Postgres recovers. Needs cgroup v2. Left out: no bound',
      ),
    cpus: z
      .number()
      .min(0.01)
      .optional()
      .describe("Processors' worth of time of a clone, such as 0.5. Needs cgroup v2. Left out: no bound"),
    diskQuota: bytes
      .optional()
      .describe(
        "What a clone may write beyond its snapshot: bytes, or such as `10GB`; left out: no bound. By zfs, and btrfs in a pool of the lab's own; of clones that are made or reset from then on",
      ),
    profile: z
      .enum(PROFILES)
      .default('dev')
      .describe(
        'What the Postgres of a clone is tuned for that asks for nothing else: `dev` (as safe as Postgres is), `test` (to be thrown away: nothing is flushed, nothing is vacuumed by itself), or `like-source` (as `dev`, with the plans of the source)',
      ),
    warm: z
      .int()
      .min(0)
      .max(256)
      .default(4)
      .describe(
        'Instances at most that are started ahead, of the newest snapshot: a clone that takes one is ready at once. How many there are follows the demand, and the memory that is free; 0: none',
      ),
    concurrency: z
      .int()
      .min(1)
      .max(256)
      .optional()
      .describe(
        'Creations and resets that run at the same time; more wait. Left out: two for each processor, up to 16',
      ),
    queue: z
      .int()
      .min(0)
      .default(500)
      .describe('Creations and resets that may wait; more are refused with TOO_BUSY, but for the first of a token'),
  })
  .refine(({ portFrom, portTo }) => portFrom <= portTo, {
    path: ['portTo'],
    error: 'must not be below clones.portFrom',
  })
  .prefault({})

const sample = z
  .strictObject({
    scale: z
      .number()
      .positive()
      .max(100)
      .default(1)
      .describe('Size of the sample database that a new lab gets: 1 is about 300 MB'),
  })
  .prefault({})

/** Express' own names for them, addresses, and networks. */
const proxy = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6(), z.enum(['loopback', 'linklocal', 'uniquelocal'])], {
  error: 'must be an address, a network such as 10.0.0.0/8, or one of loopback, linklocal, uniquelocal',
})

const access = z
  .strictObject({
    failedAttemptsPerMinute: z
      .int()
      .min(1)
      .default(30)
      .describe(
        'Requests with a token that is not taken, from one address, before they are answered with TOO_MANY_ATTEMPTS',
      ),
    trustedProxies: z
      .array(proxy)
      .default([])
      .describe(
        'Proxies whose `X-Forwarded-For` says where a request comes from: addresses, networks, or `loopback`, `linklocal`, `uniquelocal`',
      ),
  })
  .prefault({})

const audit = z
  .strictObject({
    maxEntries: z.int().min(100).default(100_000).describe('Entries of the audit log that are kept'),
    maxDays: z.number().positive().max(36_500).default(365).describe('Days that they are kept'),
  })
  .prefault({})

/** The whole configuration. The README's reference is generated from this. */
export const configSchema = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('Address that the API listens on'),
    port: z.int().min(0).max(65535).default(2345).describe('Port that the API listens on; 0: any free one'),
    dataDir: z.string().min(1).default('.dblab').describe('Directory of everything that the lab keeps'),
    logLevel: z.enum(['error', 'warn', 'info', 'debug']).default('info').describe('What goes to the log'),
    logFormat: z.enum(['text', 'json']).default('text').describe('Lines for people, or for programs'),
    bodyLimit: bytes.prefault('100KB').describe('Largest request body'),
    requestTimeoutSeconds: z.number().positive().default(30).describe('A request must have arrived whole by then'),
    tls: tls.optional(),
    access,
    audit,
    storage,
    postgres,
    clones,
    retrieval,
    sample,
  })
  .refine(({ postgres: { allowSuperusers }, retrieval: { masking } }) => !(allowSuperusers && masking), {
    path: ['postgres', 'allowSuperusers'],
    error: 'must be false beside retrieval.masking: a superuser of a clone reads what lies unmasked in the pool',
  })
  .refine(
    ({ postgres: { allowSuperusers }, retrieval: { sources } }) =>
      !(allowSuperusers && sources.some((source) => source.kind === 'physical' && source.follow !== false)),
    {
      path: ['postgres', 'allowSuperusers'],
      error:
        "must be false where a source is followed: a superuser of a clone reads the standby's password of the source",
    },
  )

export type Config = z.infer<typeof configSchema>
