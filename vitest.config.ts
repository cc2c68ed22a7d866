import { availableParallelism } from 'node:os'
import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Left out on a machine on which all takes many times as long (`scripts/test.mjs` tells), where a run would take hours: variations of what other
 * files there have tests of. `npm run test:long` has them.
 */
const NOT_WHERE_SLOW = [
  'test/retrieval/masking/*',
  'test/retrieval/{compressed,directory,generations,import-failure,import-killed,network,patterns,pool,refusals}',
  'test/retrieval/{restore-errors,sample,schedule,selection,settings,stopped-server,third-servers}',
  'test/retrieval/{disk,server-killed,tool-killed}',
  'test/physical/{recovery,refusals,standby-snapshot}',
  'test/install/install',
]
const leftOut = process.env.DBLAB_SLOW_MACHINE ? NOT_WHERE_SLOW.map((name) => `${name}.integration.test.ts`) : []

/**
 * Two kinds of project for each package: `<name>` holds the unit tests that lie beside the code and touch no system,
 * `<name>-integration` the ones that run real storage, real Postgres and the real server.
 */
const projects = [
  'packages/provision',
  'packages/sdk',
  'packages/bench',
  'packages/torture',
  'packages/compat',
  'apps/server',
].flatMap((root) => {
  const name = root.split('/')[1] ?? root
  const resolve = { conditions: ['source'] }
  // As the time limit below: no measure.
  const expect = { poll: { timeout: 30_000 } }
  return [
    {
      resolve,
      ssr: { resolve },
      test: { name, root, expect, include: ['src/**/*.test.ts'], exclude: ['**/*.integration.test.ts'] },
    },
    {
      resolve,
      ssr: { resolve },
      test: {
        name: `${name}-integration`,
        root,
        expect,
        include: ['{src,test}/**/*.integration.test.ts'],
        exclude: [...configDefaults.exclude, ...leftOut],
        // A guard against what hangs, and no measure: a busy machine may take its time.
        testTimeout: 300_000,
        hookTimeout: 300_000,
      },
    },
  ]
})

/**
 * What takes two minutes and more: begun last, one of them goes on alone when all others have ended. A machine that has run the tests before knows
 * more, and a fresh one nothing. The first may have to build the kernel that it runs on.
 */
const LONGEST = [
  'provision/test/storage/zfs',
  'torture/test/short',
  'server/test/faults/postgres',
  'server/test/retrieval/archive',
  'server/test/contract/contract',
  'server/test/faults/storage',
  'server/test/rebuild/rebuild',
  'server/test/pagila/pagila',
  'server/test/retrieval/like-source',
  'server/test/warm/reset',
  'server/test/warm/warm',
  'server/test/retrieval/disk',
  'server/test/retrieval/server-killed',
  'server/test/install/install',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const found = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}.integration.test.ts`))
      return found < 0 ? LONGEST.length : found
    }
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b))
  }
}

// Tests wait for disks and servers more than they compute: even two cores have time for three files at once.
export default defineConfig({
  test: { projects, maxWorkers: Math.max(3, availableParallelism()), sequence: { sequencer: LongestFirst } },
})
