import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe } from 'vitest'
import { type OpenedRuntime, runtimeConformance } from '../../conformance/runtime.ts'
import { labSettings } from '../../src/postgres/index.ts'
import { freePort } from '../../testbed/index.ts'
import { makeWorld, type World, type WorldOptions } from './world.ts'

const DEBIAN = '/usr/lib/postgresql/15/bin'

suite('process, PostgreSQL of the npm package', {})
describe.skipIf(!existsSync(DEBIAN))('with the Postgres of the distribution', () => {
  suite('process, PostgreSQL of Debian', { configured: [DEBIAN] })
})

function suite(name: string, options: WorldOptions): void {
  // initdb takes its time; the tests work on copies of what it made once.
  let template: { world: World; dataDir: string; major: number }
  beforeAll(async () => {
    const world = await makeWorld(options)
    const dataDir = await world.emptyDataDir('template')
    await world.runtime.initialise(dataDir)
    template = { world, dataDir, major: (await world.binaries()).major }
  })
  afterAll(() => template.world[Symbol.asyncDispose]())

  runtimeConformance(name, async (): Promise<OpenedRuntime> => {
    const world = await makeWorld(options)
    let count = 0
    return {
      runtime: world.runtime,
      reopen: world.anotherRuntime,
      emptyDataDir: () => world.emptyDataDir(`empty-${count++}`),
      cluster: () => world.copyOf(template.dataDir, `data-${count++}`),
      freePort,
      settings: labSettings(template.major),
      [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
    }
  })
}
