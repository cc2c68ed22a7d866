import { expect, test } from 'vitest'
import { isScramVerifier, scramVerifier } from './scram.ts'

test('gives the keys of the example of RFC 7677, section 3', async () => {
  // The RFC shows the proofs; these keys are what its password, salt and iterations give, and what its server signature was made with.
  const verifier = await scramVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'))
  expect(verifier).toBe(
    'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  )
})

test('salts each time anew', async () => {
  expect(await scramVerifier('x')).not.toBe(await scramVerifier('x'))
})

test('takes what RFC 4013 makes equal for the same password', async () => {
  const salt = Buffer.alloc(16, 1)
  expect(await scramVerifier('I\u00adX', salt)).toBe(await scramVerifier('IX', salt))
  expect(await scramVerifier('\u2168', salt)).toBe(await scramVerifier('IX', salt))
  expect(await scramVerifier('a\u00a0b', salt)).toBe(await scramVerifier('a b', salt))
})

test('takes a password that RFC 4013 prohibits as it is', async () => {
  expect(isScramVerifier(await scramVerifier('\u0007bell'))).toBe(true)
  expect(isScramVerifier(await scramVerifier('\u0627\u0031'))).toBe(true)
})

test('refuses what no Postgres password can be', async () => {
  for (const password of ['', 'a\0b']) await expect(scramVerifier(password)).rejects.toMatchObject({ code: 'INVALID' })
})

test('knows a verifier from a password', async () => {
  expect(isScramVerifier(await scramVerifier('x'))).toBe(true)
  for (const text of ['', 'secret', 'md5abc', 'SCRAM-SHA-256$4096:salt', 'SCRAM-SHA-256$0:QUJD$x:y']) {
    expect(isScramVerifier(text)).toBe(false)
  }
})
