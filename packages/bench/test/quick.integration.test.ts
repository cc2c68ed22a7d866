import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { hasProgram, isRoot } from '@dblab/provision/testbed'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import type { Report } from '../src/report/json.ts'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))

const withPool = test.skipIf(!isRoot || !hasProgram('mkfs.btrfs'))

withPool(
  'a quick run has figures of a clone beside the bare sequence, can be compared, and leaves nothing else (needs root and btrfs-progs)',
  { timeout: 300_000 },
  async () => {
    const temporary = await mkdtemp(join(tmpdir(), 'bench-test-'))
    // Postgres' account must be able to pass it.
    await chmod(temporary, 0o711)
    const json = join(temporary, 'figures.json')
    const bench = (...args: string[]) => execa(process.execPath, [MAIN, ...args], { env: { TMPDIR: temporary } })
    await bench('cold', '--quick', '--json', json)
    const { quick, suites }: Report = JSON.parse(await readFile(json, 'utf8'))
    expect(quick).toBe(true)
    expect(suites.map(({ name, failure }) => [name, failure])).toEqual([['cold', undefined]])
    const rows = suites[0]?.rows ?? []
    expect(rows.filter(({ ratio }) => ratio)).toHaveLength(4)
    for (const { figures } of rows) {
      expect(figures.runs).toBe(10)
      expect(figures.min).toBeGreaterThan(0)
      expect(figures.p95).toBeGreaterThanOrEqual(figures.p50)
    }
    const { stdout } = await bench('compare', '--recorded', json, '--with', json)
    expect(stdout.match(/\| same \|/g)).toHaveLength(4)
    expect(await readdir(temporary)).toEqual(['figures.json'])
    await rm(temporary, { recursive: true })
  },
)
