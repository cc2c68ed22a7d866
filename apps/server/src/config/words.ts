import type { z } from 'zod'

const TYPES: Readonly<Record<string, string>> = {
  string: 'must be a text',
  number: 'must be a number',
  int: 'must be a whole number',
  boolean: 'must be true or false',
  object: 'must be a map of keys',
  record: 'must be a map of keys',
}

/** What is wrong with a value, in the words of whoever writes the file. Undefined: the schema's own message stands. */
export function inWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : TYPES[issue.expected]
    case 'invalid_value':
      return `must be one of ${issue.values.join(', ')}`
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty'
      return issue.inclusive ? `must be at least ${issue.minimum}` : `must be more than ${issue.minimum}`
    case 'too_big':
      return `must be at most ${issue.maximum}`
    case 'invalid_union':
      return issue.discriminator === undefined
        ? undefined
        : 'is none of the kinds that there are: logical, physical, archive, directory, file'
    default:
      return undefined
  }
}
