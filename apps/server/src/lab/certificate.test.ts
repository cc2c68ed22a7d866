import { expect, test } from 'vitest'
import { configSchema } from '../config/schema.ts'
import { standingWarnings } from '../status/standing-warnings.ts'
import { cloneCertificate } from './certificate.ts'

const api = { certFile: 'api.crt', keyFile: 'api.key' }
const own = { certFile: 'clones.crt', keyFile: 'clones.key' }
const superusers = { allowSuperusers: true }

test.each([
  ['none where nobody has one', {}, undefined],
  ["the API's", { tls: api }, api],
  ['their own', { tls: api, clones: { tls: own } }, own],
  ['their own, though the API has none', { clones: { tls: own } }, own],
  ['none where that is asked for', { tls: api, clones: { tls: false } }, undefined],
  ["not the API's where a clone's superuser could read its key", { tls: api, postgres: superusers }, undefined],
  ['their own there', { tls: api, clones: { tls: own }, postgres: superusers }, own],
])('the certificate of clones is %s', (_, config, expected) => {
  expect(cloneCertificate(configSchema.parse(config))).toEqual(expected)
})

test('clones beyond loopback are warned of while they have no certificate', () => {
  const codes = (clones: object) =>
    standingWarnings(configSchema.parse({ clones }), undefined, [], []).map(
      ({ code, message }) => `${code}: ${message}`,
    )
  expect(codes({ host: '0.0.0.0' })).toEqual([expect.stringMatching(/^INSECURE_CONNECTION: Clones listen beyond/)])
  expect(codes({ host: '0.0.0.0', tls: own })).toEqual([])
})
