import { expect, test } from 'vitest'
import { lastWords } from './command-source.ts'
import { withoutSecrets } from './redaction.ts'

test('a secret is in no text, nor is one that is a part of another, nor a line of one', () => {
  const secrets = ['key', 'the key itself', '-----BEGIN\nabc$&def\n-----END', '']
  expect(withoutSecrets('no: the key itself, key, abc$&def', secrets)).toBe('no: [removed], [removed], [removed]')
})

test('a secret at the place where a line is cut leaves nothing of itself', () => {
  const secret = 'a-secret-of-many-letters'
  const words = lastWords([`${'x'.repeat(290)}${secret} and more`, 'the end'], [secret])
  expect(words).toMatch(/^x{290}\[removed\] …; the end$/)
  expect(words).not.toContain('a-se')
})
