import { expect, test } from 'vitest'
import { serverArguments } from './arguments.ts'

const files = {
  hba: '/s/hba.conf',
  ident: '/s/ident.conf',
  config: undefined,
  socketDir: '/s/so, "ck',
  passfile: '/s/pass',
}
const spec = { id: 'a', dataDir: '/d', host: '127.0.0.1', port: 6000, users: [], settings: {} }

test("puts the runtime's own settings after the given ones, so that they win", () => {
  const args = serverArguments({ ...spec, settings: { work_mem: '1MB', 'app.key': 'a b=c' } }, files)
  expect(args.slice(0, 6)).toEqual(['-D', '/d', '-c', 'work_mem=1MB', '-c', 'app.key=a b=c'])
  expect(args).toContain('hba_file=/s/hba.conf')
  expect(args).toContain('archive_mode=off')
  expect(args).toContain('unix_socket_directories="/s/so, ""ck"')
  expect(args).toContain('ssl=off')
})

test('names the certificate where there is one', () => {
  const args = serverArguments({ ...spec, tls: { certFile: '/c', keyFile: '/k' } }, files)
  expect(args).toEqual(expect.arrayContaining(['ssl=on', 'ssl_cert_file=/c', 'ssl_key_file=/k']))
})

test('tells a standby whom it follows, and where the password for that is', () => {
  const primary = { host: 'db', port: 1, username: 'rep', sslMode: 'disable', password: 'secret' } as const
  const args = serverArguments({ ...spec, primary }, files)
  expect(args.find((arg) => arg.startsWith('primary_conninfo='))).toContain("passfile='/s/pass'")
  expect(args.join(' ')).not.toContain('secret')
})

test('brings a configuration file where the data has none', () => {
  expect(serverArguments(spec, { ...files, config: '/s/postgresql.conf' })).toContain('config_file=/s/postgresql.conf')
})

test.each([
  ['hba_file'],
  ['port'],
  ['log_line_prefix'],
  ['restart_after_crash'],
  ['a b'],
  ['A'],
  ['-c'],
  ['x=y'],
  [''],
])('refuses the setting "%s"', (name) => {
  const start = () => serverArguments({ ...spec, settings: { [name]: '1' } }, files)
  expect(start).toThrow(expect.objectContaining({ code: 'INVALID' }))
})

test('refuses a zero byte, and does not repeat the value', () => {
  const start = () => serverArguments({ ...spec, settings: { work_mem: 'secret\0' } }, files)
  expect(start).toThrow(expect.objectContaining({ code: 'INVALID', message: expect.not.stringContaining('secret') }))
})
