import { expect, test } from 'vitest'
import { withoutSecrets } from './redaction.ts'

test('a secret is in no text, nor is one that is a part of another, nor a line of one', () => {
  const secrets = ['key', 'the key itself', '-----BEGIN\nabc$&def\n-----END', '']
  expect(withoutSecrets('no: the key itself, key, abc$&def', secrets)).toBe('no: [removed], [removed], [removed]')
})
