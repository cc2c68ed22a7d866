import { escapeIdentifier } from 'pg'
import { HASH_LENGTH, isText } from './fit.ts'
import type { MaskingKeys } from './keyring.ts'
import type { Assignment } from './plan.ts'

/** The values of one statement's parameters, two arrays: nothing that is secret stands in a statement's text. */
export class Parameters {
  readonly texts: string[] = []
  readonly bytes: Buffer[] = []

  add(value: string | Buffer): string {
    return typeof value === 'string' ? `($1)[${place(this.texts, value)}]` : `($2)[${place(this.bytes, value)}]`
  }
}

/** Where it is in the list, from 1. */
function place<T>(values: T[], value: T): number {
  const at = values.indexOf(value)
  return at === -1 ? values.push(value) : at + 1
}

/** The masked value, as SQL over the row; NULL stays NULL, but for a constant. */
export function maskedValue(assignment: Assignment, keys: MaskingKeys | undefined, parameters: Parameters): string {
  const { column, rule } = assignment
  if (rule.kind === 'null') return 'null'
  if (rule.kind === 'constant') return `${parameters.add(rule.constant ?? '')}::${column.type}`
  if (!keys) throw new Error('a keyed rule was planned without its keys')
  const made = rule.kind === 'hash' ? hashed(assignment, keys, parameters) : faked(assignment, keys, parameters)
  return `(${made})::${column.type}`
}

function hashed(assignment: Assignment, keys: MaskingKeys, parameters: Parameters): string {
  const { column, length } = assignment
  const name = escapeIdentifier(column.name)
  const mac = () => macOf(assignment, 'hash', keys, parameters)
  const hex = () => `left(encode(${mac()}, 'hex'), ${Math.min(length ?? HASH_LENGTH, HASH_LENGTH)})`
  if (column.array) return `case when ${name} is not null then array[${hex()}] end`
  if (isText(column.base)) return hex()
  switch (column.base) {
    case 'int2':
    case 'int4':
    case 'int8':
      return `pg_temp.dblab_permute(${name}::bigint, ${column.base === 'int2'}, ${parameters.add(keys.permutation)})`
    case 'uuid':
      return fakeCall('uuid', assignment, mac())
    case 'bytea':
      return mac()
    default:
      return `to_jsonb(${hex()})`
  }
}

function faked(assignment: Assignment, keys: MaskingKeys, parameters: Parameters): string {
  const kind = assignment.rule.fake ?? 'text'
  return fakeCall(kind, assignment, macOf(assignment, kind === 'uuid' ? 'hash' : 'fake', keys, parameters))
}

function fakeCall(kind: string, { column, unique, length }: Assignment, mac: string): string {
  const original = `${escapeIdentifier(column.name)}::text`
  return `pg_temp.dblab_fake('${kind}', ${original}, ${mac}, ${unique}, ${length ?? 'null'}::int)`
}

function macOf({ column, folded }: Assignment, purpose: string, keys: MaskingKeys, parameters: Parameters): string {
  const text = `${escapeIdentifier(column.name)}::text`
  const value = folded ? `lower(${text})` : text
  const pads = `${parameters.add(keys.innerPad)}, ${parameters.add(keys.outerPad)}`
  return `pg_temp.dblab_mac('${purpose}', ${value}, ${pads})`
}
