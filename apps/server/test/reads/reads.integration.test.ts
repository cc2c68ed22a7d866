import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isLong, tooLong } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { createLog } from '../../src/log.ts'
import { type FullApp, fullApp, TOKEN } from '../support/full-app.ts'
import { cloneRow } from '../support/rows.ts'
import type { Answered, Load } from './load.ts'

async function appWith(clones: number): Promise<FullApp> {
  const app = await fullApp(createLog({ logLevel: 'info', logFormat: 'text' }))
  app.catalogue.transaction(() => {
    for (let number = 0; number < clones; number++) app.catalogue.clones.add(cloneRow(number))
  })
  return app
}

/** Runs as plain Node does: as another process, so that it takes none of the server's time. */
function program(name: string): ChildProcess {
  return fork(fileURLToPath(new URL(name, import.meta.url)), { execArgv: [] })
}

async function answersTo(load: Omit<Load, 'token'>): Promise<Answered[]> {
  const child = program('load.ts')
  child.send({ ...load, token: TOKEN })
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the load ended with ${code}`)))
  const [answers] = await Promise.race([once(child, 'message') as Promise<[Answered[]]>, ended])
  return answers
}

describe('with 2,000 clones, 500 of which wait', () => {
  /** Milliseconds of the server's processor for one request, once it is warm. */
  async function costOf(url: string, { conditional = false } = {}): Promise<number> {
    const load = { urls: [url], requests: 200, perSecond: 1000, conditional }
    await answersTo(load)
    const before = process.cpuUsage()
    const answers = await answersTo(load)
    const { user, system } = process.cpuUsage(before)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([conditional ? 304 : 200]))
    return (user + system) / 1000 / load.requests
  }

  // The bounds are several times what a machine takes that does nothing else.
  test('an answer takes little of the processor, and to say that nothing has changed takes less', async () => {
    await using app = await appWith(2000)
    const never = () => new Promise<void>(() => {})
    for (let number = 1500; number < 2000; number++) {
      const asker = cloneRow(number)
      void app.jobs.add(asker.id, never, { asker })
    }
    expect(await costOf(`${app.url}/clone/${cloneRow(1000).id}`)).toBeLessThan(5)
    expect(await costOf(`${app.url}/snapshots`)).toBeLessThan(5)
    const whole = await costOf(`${app.url}/clones`)
    expect(whole).toBeLessThan(50)
    // The text is kept: what a 304 saves is to send it.
    expect(await costOf(`${app.url}/clones`, { conditional: true })).toBeLessThan(whole)
    expect(await costOf(`${app.url}/clones?limit=100`)).toBeLessThan(whole)
  })
})

describe.runIf(isLong)(`50 requests a second, three of ten for lists${tooLong}`, () => {
  // The medians are judged. What one of a hundred takes is the machine's as well, and shown beside what a server takes that does nothing.
  test.each([
    [500, false],
    [2000, false],
    [2000, true],
  ])('are answered in time with %i clones, by who names ETags: %s', async (clones, conditional) => {
    await using app = await appWith(clones)
    const bare = program('bare.ts')
    const [bareUrl] = (await once(bare, 'message')) as [string]
    const one = (part: number) => `/clone/${cloneRow(Math.floor((clones * part) / 7)).id}`
    const paths = ['/clones', one(0), one(1), '/status', one(2), one(3), '/snapshots', one(4), one(5), one(6)]
    const load = { urls: [...paths.map((path) => app.url + path), bareUrl], perSecond: 50, conditional }
    await answersTo({ ...load, requests: 150 })
    const figures = figuresOf(await answersTo({ ...load, requests: 1500 }))
    bare.disconnect()
    console.table(figures)
    expect(figures['/clone/{id}']?.p50).toBeLessThan(5)
    for (const list of ['/clones', '/status', '/snapshots']) expect(figures[list]?.p50, list).toBeLessThan(50)
  })
})

/** By what was asked for, in milliseconds. */
function figuresOf(answers: readonly Answered[]): Record<string, { p50: number; p99: number }> {
  const kindOf = ({ url }: Answered) => new URL(url).pathname.replace(/^\/clone\/.*/, '/clone/{id}')
  const kinds = Object.entries(Object.groupBy(answers, kindOf)).map(([kind, some = []]) => {
    const times = some.map(({ ms }) => ms).sort((a, b) => a - b)
    const at = (share: number) => times[Math.floor(times.length * share)] ?? 0
    return [kind, { p50: at(0.5), p99: at(0.99) }] as const
  })
  return Object.fromEntries(kinds)
}
