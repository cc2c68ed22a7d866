import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

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
  return [
    {
      resolve,
      ssr: { resolve },
      test: { name, root, include: ['src/**/*.test.ts'], exclude: ['**/*.integration.test.ts'] },
    },
    {
      resolve,
      ssr: { resolve },
      test: {
        name: `${name}-integration`,
        root,
        include: ['{src,test}/**/*.integration.test.ts'],
        // A guard against what hangs, and no measure: a busy machine may take its time.
        testTimeout: 300_000,
        hookTimeout: 300_000,
      },
    },
  ]
})

// Tests wait for disks and servers more than they compute: even two cores have time for three files at once.
export default defineConfig({ test: { projects, maxWorkers: Math.max(3, availableParallelism()) } })
