import { expect, test } from 'vitest'
import { meaningOf } from './sensitive-names.ts'

const texts: readonly (readonly [string, string])[] = [
  ['email', 'an email address'],
  ['contactEMail', 'an email address'],
  ['e_mail', 'an email address'],
  ['CustomerEmailAddress', 'an email address'],
  ['phone_number', 'a phone number'],
  ['tel', 'a phone number'],
  ['Handy', 'a phone number'],
  ['firstName', "a person's name"],
  ['name', "a person's name"],
  ['customer_name', "a person's name"],
  ['Nachname', "a person's name"],
  ['фамилия', "a person's name"],
  ['username', 'a user name'],
  ['date_of_birth', 'a date of birth'],
  ['Straße', 'an address'],
  ['zip_code', 'an address'],
  ['client_ip', 'a network address'],
  ['IBAN', 'a bank account'],
  ['card_number', 'a card number'],
  ['ssn', 'a document or national id'],
  ['password_hash', 'a secret'],
  ['access_token', 'a secret'],
  ['Contraseña', 'a secret'],
  ['fname', "a person's name"],
  ['givenname', "a person's name"],
  ['middle_name', "a person's name"],
  ['customername', "a person's name"],
  ['displayName', "a person's name"],
  ['cardholder', "a person's name"],
  ['patronymic', "a person's name"],
  ['mobilenumber', 'a phone number'],
  ['streetname', 'an address'],
  ['taxnumber', 'a document or national id'],
  ['lastip', 'a network address'],
  ['maritalstatus', 'something about a person that nobody else should know'],
  ['nationality', 'something about a person that nobody else should know'],
  ['diagnosis', 'something about a person that nobody else should know'],
]

test.each(texts)('a text column named %s says that it holds %s', (name, meaning) => {
  expect(meaningOf({ name, base: 'text' })).toBe(meaning)
})

test.each([
  'id',
  'status',
  'description',
  'quantity',
  'statement',
  'platform',
  'hotel',
  'file_name',
  'hostName',
  'recipe',
  'scope',
  'strategy',
  'cellar',
  'shipment',
  'discard',
  'filename',
  'tablename',
  'middleware',
  'forgiven',
  'ship',
])('a text column named %s says nothing', (name) => {
  expect(meaningOf({ name, base: 'text' })).toBeUndefined()
})

test('a name says nothing of a type that can hold nothing of the kind', () => {
  expect(meaningOf({ name: 'email_verified', base: 'bool' })).toBeUndefined()
  expect(meaningOf({ name: 'address_id', base: 'int4' })).toBeUndefined()
  expect(meaningOf({ name: 'email_sent_at', base: 'timestamptz' })).toBeUndefined()
  expect(meaningOf({ name: 'birth', base: 'date' })).toBe('a date of birth')
  expect(meaningOf({ name: 'salary', base: 'numeric' })).toBe('what somebody earns')
  expect(meaningOf({ name: 'lat', base: 'float8' })).toBe('where somebody is')
  expect(meaningOf({ name: 'token', base: 'uuid' })).toBe('a secret')
  expect(meaningOf({ name: 'ip', base: 'inet' })).toBe('a network address')
})
