import { expect, test } from 'vitest'
import { passwordFile, primaryConninfo } from './primary.ts'

const PRIMARY = { host: 'db', port: 5432, username: "o'rep\\", sslMode: 'verify-full', password: 's:e\\cret' } as const

test('what a standby is told of its source has no password in it, and no value means anything but itself', () => {
  const text = primaryConninfo({ ...PRIMARY, parameters: { sslrootcert: '/a b' } }, '/run/passfile')
  expect(text).toBe(
    `application_name='dblab' sslrootcert='/a b' host='db' port='5432' user='o\\'rep\\\\' sslmode='verify-full' passfile='/run/passfile'`,
  )
})

test.each([['password'], ['sslpassword'], ['passfile'], ['options'], ['service'], ['host']])(
  'the parameter %s may not be given besides, and its value is not repeated',
  (name) => {
    const giving = () => primaryConninfo({ ...PRIMARY, parameters: { [name]: 'hidden' } }, '/run/passfile')
    expect(giving).toThrow(expect.objectContaining({ code: 'INVALID', message: expect.not.stringContaining('hidden') }))
  },
)

test('a password stands in its file as libpq reads it', () => {
  expect(passwordFile(PRIMARY.password)).toBe('*:*:*:*:s\\:e\\\\cret\n')
  expect(passwordFile(undefined)).toBe('')
  expect(() => passwordFile('a\nb')).toThrow(expect.objectContaining({ code: 'INVALID' }))
})
