import type { ValidateError } from '@tsoa/runtime'

/** So many fields are named; a request can hold thousands. */
const MOST_NAMED = 20

/**
 * Which fields are wrong, and how they must be: `db.password: is required; wait: must be at most 600`. tsoa keeps the rejected values,
 * passwords too, beside its messages and in some of them: nothing that was sent is passed on but the names of fields.
 */
export function explainFields({ fields }: Pick<ValidateError, 'fields'>): string {
  const problems = Object.entries(fields).map(([field, { message }]) => explain(field.replace(/^body\./, ''), message))
  const more = problems.length - MOST_NAMED
  return [...problems.slice(0, MOST_NAMED), ...(more > 0 ? [`and ${more} more`] : [])].join('; ')
}

function explain(field: string, message = ''): string {
  const unknown = /^"(.*)" is an excess property /s.exec(message)?.[1]
  return unknown === undefined ? `${field}: ${describe(message)}` : explainUnknown(field, unknown)
}

/** A name that no programmer would write may be a value in the wrong place. */
function explainUnknown(field: string, name: string): string {
  if (/^[a-z_]\w{0,39}$/i.test(name)) return `${field}: there is no such field`
  const parent = field.slice(0, -name.length - 1)
  return `${parent || 'body'}: has a field that there is not`
}

/** tsoa's words (`templateHelpers.js` of @tsoa/runtime), and ours. */
const sentences: [pattern: RegExp, sentence: (found: string) => string][] = [
  // What the validation tags say themselves.
  [/^(must .*)$/, (own) => own],
  [/ is required$/, () => 'is required'],
  [/^invalid string value$/, () => 'must be a text'],
  [/^invalid boolean value$/, () => 'must be true or false'],
  [/^invalid (?:integer|float) number$/, () => 'must be a number'],
  [/^invalid object$/, () => 'must be a JSON object'],
  [/^invalid array$/, () => 'must be a JSON array'],
  [/^minLength 1$/, () => 'must not be empty'],
  [/^minLength (\d+)$/, (length) => `must have at least ${length} characters`],
  [/^maxLength (\d+)$/, (length) => `must have at most ${length} characters`],
  [/^min (-?\d+)$/, (least) => `must be at least ${least}`],
  [/^max (-?\d+)$/, (most) => `must be at most ${most}`],
  [/^should be one of the following; \[null\]$/, () => 'must be null'],
  [/^should be one of the following; \[([^\]]*)\]$/, (choices) => `must be one of ${choices.replaceAll(',', ', ')}`],
  [/^Could not match the union against any of the items\. Issues: (.*)$/s, describeUnion],
]

function describe(message: string): string {
  for (const [pattern, sentence] of sentences) {
    const match = pattern.exec(message)
    if (match) return sentence(match[1] ?? '')
  }
  return 'has another form than /docs says'
}

/** tsoa lists for each member of a union what was wrong, the value beside it. */
function describeUnion(issues: string): string {
  const members = JSON.parse(issues) as Record<string, { message?: string }>[]
  const messages = members.flatMap((issue) => Object.values(issue)).map(({ message }) => message ?? '')
  const choices = messages.map((message) => /^should be one of the following; \['([^\]]*)'\]$/.exec(message)?.[1])
  if (choices.every((choice) => choice !== undefined)) return `must be one of ${choices.join(', ')}`
  return [...new Set(messages.map(describe))].join(', or ')
}
