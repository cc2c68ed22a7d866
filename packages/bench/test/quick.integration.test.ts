import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { hasProgram, isRoot } from '@dblab/provision/testbed'
import { expect, test } from 'vitest'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))

test.skipIf(!isRoot || !hasProgram('mkfs.btrfs'))(
  'a quick run has figures of every step, and leaves nothing else (needs root and btrfs-progs)',
  { timeout: 300_000 },
  async () => {
    const temporary = await mkdtemp(join(tmpdir(), 'bench-test-'))
    // Postgres' account must be able to pass it.
    await chmod(temporary, 0o711)
    const json = join(temporary, 'figures.json')
    const env = { ...process.env, TMPDIR: temporary }
    await promisify(execFile)(process.execPath, [MAIN, '--quick', '--json', json], { cwd: temporary, env })
    const { rows } = JSON.parse(await readFile(json, 'utf8'))
    expect(rows).toHaveLength(6)
    for (const { figures } of rows) {
      expect(figures.runs).toBe(5)
      expect(figures.min).toBeGreaterThan(0)
      expect(figures.p95).toBeGreaterThanOrEqual(figures.p50)
    }
    expect(await readdir(temporary)).toEqual(['figures.json'])
    await rm(temporary, { recursive: true })
  },
)
