import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { type Options, program } from './options.ts'

/** What it says of a command line that it refuses. */
function refusalOf(...args: string[]): string {
  const said = vi.fn<(text: string) => void>()
  program.exitOverride().configureOutput({ writeErr: said })
  expect(() => program.parse(args, { from: 'user' })).toThrow()
  return said.mock.calls.join('')
}

describe('the command line', () => {
  test.each(['0', '-1', '1.5', 'many', ''])('refuses %j kills', (kills) => {
    expect(refusalOf('--kills', kills)).toMatch(/must be (at least 1|a whole number)/)
  })

  test('refuses a file to replay that holds no history', () => {
    expect(refusalOf('--replay', import.meta.filename)).toContain("can't be read as JSON")
  })

  test('refuses a number of kills for a replay, which has what its history has', () => {
    const directory = mkdtempSync(join(tmpdir(), 'options-'))
    try {
      const file = join(directory, 'torture-7.json')
      const history = [{ kind: 'serve', blow: { from: 'outside', afterMs: 900 }, scripts: [] }]
      writeFileSync(file, JSON.stringify(history))
      expect(refusalOf('--replay', file, '--kills', '5')).toContain('cannot be used with option')
      program.parse(['--replay', file], { from: 'user' })
      expect(program.opts<Options>().replay).toEqual({ file, history })
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
