import { expect, test } from 'vitest'
import { parseSettings, settingLine } from './kept-settings.ts'

test('a configuration file is read as Postgres reads it, the last of a name for all', () => {
  const text = `
# timezone = 'Mars/Olympus'
TimeZone = 'Europe/Berlin'\t# where we are
datestyle='iso, dmy'
search_path = '"$user", public, ''odd'', "it\\'s"'
extra_float_digits 1
lc_time = C
lc_time=C.UTF-8
include 'conf.d/other.conf'
nonsense
shared_preload_libraries = 'a' 'b'
`
  expect(Object.fromEntries(parseSettings(text))).toEqual({
    timezone: 'Europe/Berlin',
    datestyle: 'iso, dmy',
    search_path: `"$user", public, 'odd', "it's"`,
    extra_float_digits: '1',
    lc_time: 'C.UTF-8',
    include: 'conf.d/other.conf',
  })
})

test.each([['plain'], [`it's`], ['a\\b'], [`\\'`], ['']])('what is written is what is read: %j', (value) => {
  expect(parseSettings(settingLine('search_path', value)).get('search_path')).toBe(value)
})
