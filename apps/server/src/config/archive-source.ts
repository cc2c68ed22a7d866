import { isAbsolute } from 'node:path'
import { z } from 'zod'

/** A path that does not depend on where the server was started. */
export const absolute = z.string().refine(isAbsolute, { error: 'must be an absolute path' })
const argv = z
  .array(
    z
      .string()
      .min(1)
      .regex(/^[^\0]*$/),
  )
  .min(1)
const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'must be the name of a variable' })

/** Of every source that brings a whole cluster without being asked for a database. */
export const ofCluster = {
  database: z.string().min(1).optional().describe('The main database; left out: the first that is not `postgres`'),
  anyLocale: z
    .boolean()
    .default(false)
    .describe(
      'Take text as it is that was sorted by another version of a locale than this machine has: indexes may miss rows',
    ),
}

/** What the lab says itself, and what would leave the cluster in parts, or bring in what is not in the repository. */
const OWN_OPTIONS =
  /^(stanza|config.*|repo|set|type|target.*|pg\d*(-.*)?|tablespace-map.*|link-.*|db-.*|recovery-option|archive-.*|force|delta|log-.*|cmd|output)$/
/** What pgBackRest itself never shows: options with `secure` (pgBackRest, src/build/config/config.yaml). */
const SECRET_OPTIONS = /-(cipher-pass|passphrase|s3-key|s3-key-secret|s3-token|azure-key)$/

const optionName = z
  .string()
  .regex(/^[a-z][a-z0-9-]*$/, { error: 'must be an option as in pgbackrest.conf, such as process-max' })
  .refine((name) => !OWN_OPTIONS.test(name), { error: 'is an option that the lab gives itself, or can not have' })

const pgbackrest = z
  .strictObject({
    stanza: z
      .string()
      .regex(/^[^\s[\]=:#/-][^\s[\]=:#/]*$/, { error: 'must be the name of a stanza' })
      .describe('Restore a backup of this stanza with `pgbackrest`'),
    config: absolute.optional().describe("pgBackRest's configuration file; left out: the one that it takes by itself"),
    repo: z.int().min(1).max(256).optional().describe('The number of the repository; left out: any that has a backup'),
    set: z
      .string()
      .regex(/^\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?$/, { error: 'must be the label of a backup, as pgbackrest info has it' })
      .optional()
      .describe('The label of a backup; left out: the newest that `recovery` can begin with'),
    options: z
      .record(
        optionName.refine((name) => !SECRET_OPTIONS.test(name), { error: 'is a secret: name its variable in secrets' }),
        z.union([z.string().regex(/^[^\r\n\0]+$/), z.number(), z.boolean()]),
      )
      .default({})
      .describe('Options as in its file, which stand over those there, such as `process-max: 4`; `config` is needed'),
    secrets: z
      .record(optionName, variable)
      .default({})
      .describe(
        'The same for secrets: variables of the server that hold them, such as `repo1-cipher-pass: CIPHER_PASS`',
      ),
  })
  .optional()

const recovery = z
  .strictObject({
    immediate: z.literal(true).optional().describe('As soon as the data is consistent'),
    time: z.iso
      .datetime({ offset: true, error: 'must be a time with its zone, such as 2026-11-26T10:00:00Z' })
      .optional()
      .describe('With the last commit up to this time, such as `2026-11-26T10:00:00Z`'),
    lsn: z
      .string()
      .regex(/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/, { error: 'must be an LSN, such as 16/B374D848' })
      .optional()
      .describe('With the record at this place of the WAL, such as `16/B374D848`; all three left out: to its end'),
  })
  .refine((targets) => Object.values(targets).filter((target) => target !== undefined).length <= 1, {
    error: 'must have one of immediate, time and lsn, or none',
  })
  .prefault({})

function overrides({ options, secrets }: NonNullable<z.infer<typeof pgbackrest>>): boolean {
  return Object.keys(options).length + Object.keys(secrets).length > 0
}

/** A backup that another program keeps. */
export const archiveSource = z
  .strictObject({
    kind: z.literal('archive').describe('A backup of a whole cluster: with `pgbackrest`, or by a `command`'),
    pgbackrest,
    command: argv
      .optional()
      .describe('A program that puts a whole cluster where it is told, with its arguments: docs/retrieval-command.md'),
    environment: z.array(variable).default([]).describe('Variables of the server that `command` gets'),
    restoreCommand: argv
      .optional()
      .describe('A program that fetches a file of WAL, with its arguments, `%f` and `%p` among them; for `command`'),
    notFoundStatus: z
      .int()
      .min(1)
      .max(125)
      .optional()
      .describe(
        'The status by which `restoreCommand` says that there is no such file (74 for WAL-G); left out: any but 0, and an archive that fails looks as if it ended there',
      ),
    recovery,
    ...ofCluster,
    timeoutMinutes: z.number().positive().max(20_160).default(1440).describe('The restore is stopped after this time'),
  })
  .refine(({ pgbackrest: one, command }) => (one === undefined) !== (command === undefined), {
    error: 'must have either pgbackrest or command',
  })
  .refine(({ pgbackrest: one, restoreCommand, environment }) => !one || (!restoreCommand && environment.length === 0), {
    path: ['pgbackrest'],
    error: 'goes without restoreCommand and environment, which are for command',
  })
  .refine(({ notFoundStatus, restoreCommand }) => notFoundStatus === undefined || restoreCommand, {
    path: ['notFoundStatus'],
    error: 'is the status of restoreCommand, which is missing',
  })
  .refine(({ restoreCommand }) => !restoreCommand || restoreCommand.some((argument) => argument.includes('%p')), {
    path: ['restoreCommand'],
    error: 'must have %p, where the file is to go',
  })
  .refine(({ pgbackrest: one }) => !one || one.config !== undefined || !overrides(one), {
    path: ['pgbackrest', 'config'],
    error: 'must be given where options or secrets are: then pgbackrest reads no other file',
  })
