import { spawnSync } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { describeDriver, hasProgram, isRoot, mountedImage, REPOSITORY, runInside } from '../../testbed/index.ts'

/** `daemon` on most systems; any account other than root will do. */
const ACCOUNT = 1

function canReachTheRepository(): boolean {
  return spawnSync('setpriv', asAccount(['test', '-x', REPOSITORY])).status === 0
}

function asAccount(argv: string[]): string[] {
  return [`--reuid=${ACCOUNT}`, `--regid=${ACCOUNT}`, '--clear-groups', ...argv]
}

const cases = [
  { driver: 'btrfs', file: 'btrfs', kind: 'btrfs', options: 'loop,user_subvol_rm_allowed' },
  { driver: 'btrfs', file: 'btrfs', kind: 'btrfs', options: 'loop' },
  { driver: 'reflink', file: 'reflink', kind: 'xfs', options: 'loop' },
] as const

for (const { driver, file, kind, options } of cases) {
  describeDriver(driver, lacks(kind), () => {
    describe('an ordinary account', () => {
      test(`gets all that ${driver} promises, on ${kind} mounted with ${options}`, { timeout: 600_000 }, async () => {
        await using stack = new AsyncDisposableStack()
        const image = stack.use(await mountedImage(kind, options))
        const [directory, temporary] = [join(image.directory, 'own'), await mkdtemp(join(tmpdir(), 'ordinary-'))]
        stack.defer(() => rm(temporary, { recursive: true }))
        await mkdir(directory)
        for (const path of [directory, temporary]) await chown(path, ACCOUNT, ACCOUNT)
        const env = { STORAGE_TEST_DIRECTORY: directory, TMPDIR: temporary, HOME: temporary, REQUIRED_DRIVERS: driver }
        const wrap = async (argv: string[], reports: string) => {
          await chmod(reports, 0o777)
          return ['setpriv', ...asAccount(argv)]
        }
        expect(
          await runInside(
            { project: 'provision-integration', file: `test/storage/${file}.integration.test.ts` },
            wrap,
            env,
          ),
        ).toBeGreaterThan(20)
      })
    })
  })
}

function lacks(kind: 'btrfs' | 'xfs'): string | undefined {
  if (!isRoot) return 'only root can mount a file system and become somebody else'
  if (!hasProgram(`mkfs.${kind}`)) return `there is no mkfs.${kind}`
  if (!hasProgram('setpriv')) return 'there is no setpriv'
  return canReachTheRepository() ? undefined : 'the repository is closed to other accounts'
}
