import { z } from 'zod'

/** What `fake` can make. */
export const FAKES = [
  'email',
  'name',
  'firstName',
  'lastName',
  'phone',
  'address',
  'city',
  'company',
  'iban',
  'ip',
  'uuid',
  'text',
] as const

export type Fake = (typeof FAKES)[number]

/** `*` stands for any number of characters, in a part between dots. */
const pattern = z.string().min(1).max(200)

const tablePattern = pattern.refine((text) => /^[^.]+\.[^.]+$/.test(text), {
  error: 'must be schema.table, such as public.customer; `*` stands for any characters',
})

const columnPattern = pattern.refine((text) => /^[^.]+\.[^.]+\.[^.]+$/.test(text), {
  error: 'must be schema.table.column, such as public.customer.phone; `*` stands for any characters',
})

const KINDS = ['null', 'constant', 'hash', 'fake', 'shuffle'] as const

const rule = z
  .strictObject({
    database: pattern.optional().describe('Database that it is for; left out: all'),
    table: tablePattern.describe('Tables, as `schema.table`'),
    column: pattern.describe('Columns of them'),
    null: z.literal(true).optional(),
    constant: z.union([z.string(), z.number(), z.boolean()]).optional(),
    hash: z.literal(true).optional(),
    fake: z.enum(FAKES).optional(),
    shuffle: z.literal(true).optional(),
  })
  .refine((given) => KINDS.filter((kind) => given[kind] !== undefined).length === 1, {
    error: 'must have exactly one of null, constant, hash, fake, shuffle',
  })

const file = z.strictObject({
  path: z.string().min(1).describe('SQL file'),
  database: z.string().min(1).optional().describe('Database that it is run in; left out: the main one'),
})

const coverage = z
  .strictObject({
    mode: z
      .enum(['block', 'warn', 'off'])
      .default('block')
      .describe(
        'Columns that look personal and that no rule covers fail the refresh, are told of, or are not looked for',
      ),
    allow: z
      .array(columnPattern)
      .default([])
      .describe('Columns that somebody has looked at, as `schema.table.column`; `*` stands for any characters'),
  })
  .prefault({})

/** How what is brought in is masked before anybody sees it: docs/masking.md. */
export const maskingSchema = z
  .strictObject({
    files: z.array(file).default([]).describe('SQL files, run in this order before the rules'),
    rules: z
      .array(rule)
      .default([])
      .describe('What becomes of which columns; of several for one column the first counts'),
    secretFile: z
      .string()
      .min(1)
      .optional()
      .describe('File of mode 0600 with the secret that `hash` and `fake` hang on, of at least 32 characters'),
    secretEnv: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'must be the name of an environment variable' })
      .optional()
      .describe('Environment variable that has it instead'),
    largeObjects: z
      .enum(['keep', 'remove'])
      .optional()
      .describe(
        'What becomes of large objects; left out: kept, which the coverage check objects to where there are any',
      ),
    timeoutSeconds: z
      .number()
      .positive()
      .max(30 * 86_400)
      .default(6 * 3600)
      .describe('Masking that takes longer has failed'),
    coverage,
  })
  .refine(({ secretFile, secretEnv }) => secretFile === undefined || secretEnv === undefined, {
    path: ['secretEnv'],
    error: 'must not be given beside secretFile',
  })
  .refine(({ rules, secretFile, secretEnv }) => !rules.some(needsSecret) || (secretFile ?? secretEnv) !== undefined, {
    path: ['secretFile'],
    error: 'is missing: hash and fake need it, or secretEnv',
  })

export type MaskingConfig = z.infer<typeof maskingSchema>
export type RuleConfig = MaskingConfig['rules'][number]

/** Those are keyed, so that nobody can try out what became of a value. */
function needsSecret(given: { hash?: unknown; fake?: unknown }): boolean {
  return given.hash !== undefined || given.fake !== undefined
}
