import type { Fake, RuleConfig } from '../../config/masking.ts'
import { compilePart, compilePattern, isExact, type Pattern } from './pattern.ts'

export type Kind = 'null' | 'constant' | 'hash' | 'fake' | 'shuffle'

/** A rule of the configuration, made ready to be matched. */
export interface Rule {
  /** How its author finds it: `retrieval.masking.rules[2] (public.customer.email)`. */
  label: string
  database: (name: string) => boolean
  table: Pattern
  column: (name: string) => boolean
  exactTable: boolean
  exactColumn: boolean
  kind: Kind
  constant: string | undefined
  fake: Fake | undefined
}

export function compileRule(given: RuleConfig, index: number): Rule {
  return {
    label: `retrieval.masking.rules[${index}] (${given.table}.${given.column})`,
    database: compilePart(given.database ?? '*'),
    table: compilePattern(given.table),
    column: compilePart(given.column),
    exactTable: isExact(given.table),
    exactColumn: isExact(given.column),
    kind: kindOf(given),
    constant: given.constant === undefined ? undefined : String(given.constant),
    fake: given.fake,
  }
}

function kindOf(given: RuleConfig): Kind {
  if (given.null) return 'null'
  if (given.hash) return 'hash'
  if (given.fake !== undefined) return 'fake'
  return given.shuffle ? 'shuffle' : 'constant'
}

/** What becomes of a value hangs on the value alone, so that equal ones stay equal: across tables, databases and refreshes. */
export function isKeyed({ kind }: Pick<Rule, 'kind'>): boolean {
  return kind === 'hash' || kind === 'fake'
}
