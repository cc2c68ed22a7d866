import { expect, test } from 'vitest'
import { planSettingsOf } from './plan-settings.ts'

test('of a source’s settings those are taken that decide plans', () => {
  const settings = {
    work_mem: '65536kB',
    temp_buffers: '8 MB',
    jit: 'off',
    random_page_cost: '1.1',
    geqo_seed: '1e-05',
    plan_cache_mode: 'auto',
  }
  const others = { shared_buffers: '64GB', search_path: 'public', fsync: 'off', 'app.key': '1', archive_command: 'x' }
  expect(planSettingsOf({ ...settings, ...others })).toEqual({ found: settings, strange: [] })
})

test.each([
  ['64 MB -c fsync=off'],
  ['on\nfsync = off'],
  ["1'; DROP TABLE x"],
  ['$(touch /tmp/x)'],
  ['--config-file=/etc/passwd'],
  ['1\0'],
  ['9'.repeat(100)],
  [''],
])('a value that is neither a word nor a number is no value: %j', (value) => {
  expect(planSettingsOf({ work_mem: value, jit: 'on' })).toEqual({ found: { jit: 'on' }, strange: ['work_mem'] })
})
