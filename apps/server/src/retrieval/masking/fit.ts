import type { Fake } from '../../config/masking.ts'
import type { Assignment } from './plan.ts'

/** Types whose values are texts. */
const TEXTS = ['text', 'varchar', 'bpchar', 'citext']

/** Texts get 32 hexadecimal digits of the hash. With half of them, a billion values still all differ but once in forty runs. */
export const HASH_LENGTH = 32
const SHORTEST_UNIQUE_HASH = 16

/** The room that the fixed part takes, to which names and the like are cut. */
const FAKE_LENGTHS: Partial<Record<Fake, number>> = { email: 30, iban: 22, phone: 15, uuid: 36, ip: 15 }

/** With the 16 hexadecimal digits that keep values different, and some of the word. */
const SHORTEST_UNIQUE_FAKE = 24

export function isText(base: string): boolean {
  return TEXTS.includes(base)
}

/** Why this kind can't work on this column, as the end of a sentence. */
export function misfit(assignment: Assignment): string | undefined {
  switch (assignment.rule.kind) {
    case 'null':
      return assignment.column.notNull ? 'is NOT NULL: use constant or hash' : undefined
    case 'constant':
      return constantMisfit(assignment)
    case 'hash':
      return hashMisfit(assignment)
    case 'fake':
      return fakeMisfit(assignment)
    case 'shuffle':
      return undefined
  }
}

function constantMisfit({ column, rule }: Assignment): string | undefined {
  if (column.unique === 'alone') return 'is unique, which a constant is not: use hash'
  const tooLong = column.length !== undefined && [...(rule.constant ?? '')].length > column.length
  return tooLong && !column.array ? `takes ${column.length} characters, fewer than the constant has` : undefined
}

function hashMisfit({ column, unique, length }: Assignment): string | undefined {
  const { base, array, type } = column
  if (isText(base)) {
    const short = !array && unique && length !== undefined && length < SHORTEST_UNIQUE_HASH
    return short ? `has room for ${length} characters, too few for a hash that stays unique` : undefined
  }
  const scalar = ['int2', 'int4', 'int8', 'uuid', 'bytea', 'json', 'jsonb']
  if (!array && scalar.includes(base)) return undefined
  return `is of type ${type}, which can't be hashed: use null, constant or shuffle`
}

function fakeMisfit({ column, rule, unique, length }: Assignment): string | undefined {
  const { base, array, type } = column
  const fake = rule.fake ?? 'text'
  const own = (fake === 'uuid' && base === 'uuid') || (fake === 'ip' && base === 'inet')
  if (array || !(own || isText(base))) return `is of type ${type}, which can't hold a made-up ${fake}`
  if (own || length === undefined) return undefined
  const needed = FAKE_LENGTHS[fake] ?? (unique ? SHORTEST_UNIQUE_FAKE : 1)
  return length < needed ? `has room for ${length} characters, and a made-up ${fake} needs ${needed}` : undefined
}
