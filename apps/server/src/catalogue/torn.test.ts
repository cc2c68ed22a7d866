import { randomInt } from 'node:crypto'
import { copyFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Catalogue } from './catalogue.ts'
import { CatalogueLostError } from './database.ts'

const ROUNDS = Number(process.env.TORN_ROUNDS ?? 150)
const SEED = Number(process.env.TORN_SEED ?? randomInt(2 ** 31))

/** The same numbers for the same seed: https://prng.di.unimi.it/splitmix64.c, cut to 53 bits. */
function randomOf(seed: number): (below: number) => number {
  let state = BigInt(seed)
  const mask = (1n << 64n) - 1n
  return (below) => {
    state = (state + 0x9e3779b97f4a7c15n) & mask
    let z = state
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask
    return Number(((z ^ (z >> 31n)) >> 11n) % BigInt(Math.max(1, below)))
  }
}

/** What a server leaves that is killed: the last commits are in the log alone, and nothing was closed. */
async function killedCatalogue(directory: string) {
  const file = join(directory, 'catalogue.db')
  const catalogue = Catalogue.create(file, 'lab')
  catalogue.nextEpoch()
  catalogue.volumes.add('base', 'base')
  const data = { database: 'shop', databases: ['shop'], postgresVersion: 18, timestamp: '2026-01-01T00:00:00.000Z' }
  const source = { ...data, id: 'first', volumeId: 'base', published: true, createdAt: data.timestamp, size: 1 }
  catalogue.transaction(() => {
    catalogue.volumes.setFilled('base', { ...data, sample: true })
    catalogue.snapshots.add({
      ...source,
      cloneId: '',
      sample: true,
      message: 'the first',
      tokenId: null,
      protected: false,
      maskVersion: '',
      superuser: '',
      hasPlanSettings: false,
    })
    catalogue.snapshots.setLive('first', { database: 'shop', databases: ['shop'], size: 1 })
  })
  for (let n = 0; n < 40; n++) {
    const volumeId = `volume-${n}`
    catalogue.volumes.add(volumeId, 'clone', 'first')
    catalogue.clones.add(cloneOf(n))
    // Half of the facts go through the log into the file, as they do when the log has grown.
    if (n === 20) catalogue.checkpoint()
    catalogue.transaction(() => {
      catalogue.volumes.setState(volumeId, 'live')
      catalogue.clones.update(`clone-${n}`, { status: 'OK', message: 'Database is ready', volumeId })
    })
    if (n % 7 === 0) catalogue.clones.delete(`clone-${n}`)
  }
  const killed = join(directory, 'killed')
  await rm(killed, { recursive: true, force: true })
  const names = (await readdir(directory)).filter((name) => name.startsWith('catalogue.db') && !name.endsWith('-shm'))
  return { names, facts: factsOf(catalogue), close: () => catalogue.close() }
}

function cloneOf(n: number) {
  const none = { resetTo: null, volumeId: null, unsafeBootId: null, resetFailedAt: null, deleteAt: null, tokenId: null }
  const made = { profile: 'dev' as const, steps: [] }
  const texts = { message: 'is being made', project: 'a project', name: `the clone ${n}`, username: 'alice' }
  const login = { dbUsername: 'alice', dbName: 'shop', verifier: 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy' }
  const times = { createdAt: '2026-01-01T00:00:00.000Z', lastUsedAt: '2026-01-01T00:00:00.000Z' }
  const numbers = { port: 20_000 + n, size: 0, cloningSeconds: 0.5 }
  const status = { status: 'CREATING', snapshotId: 'first', protected: n % 2 === 0 } as const
  return { id: `clone-${n}`, ...status, ...none, ...texts, ...login, ...times, ...numbers, ...made }
}

function factsOf(catalogue: Catalogue) {
  return {
    clones: catalogue.clones.list(),
    snapshots: catalogue.snapshots.list(),
    volumes: catalogue.volumes.list(),
  }
}

async function world() {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-torn-'))
  const killed = await killedCatalogue(directory)
  let rounds = 0
  return {
    ...killed,
    /** A copy of it as the kill left it. */
    async copy(): Promise<string> {
      const prefix = join(directory, `round-${rounds++}.db`)
      for (const name of killed.names) {
        await copyFile(join(directory, name), `${prefix}${name.slice('catalogue.db'.length)}`)
      }
      return prefix
    },
    async [Symbol.asyncDispose]() {
      killed.close()
      await rm(directory, { recursive: true })
    },
  }
}

/** Opens it: with all that was acknowledged, or not at all. */
function open(file: string): 'lost' | ReturnType<typeof factsOf> {
  try {
    const catalogue = Catalogue.open(file, 'lab', 1)
    const facts = factsOf(catalogue)
    catalogue.close()
    return facts
  } catch (error) {
    if (error instanceof CatalogueLostError) return 'lost'
    throw error
  }
}

test(`a catalogue that was cut short or overwritten anywhere has all its facts, or is known to be lost (seed ${SEED})`, {
  timeout: 120_000,
}, async () => {
  await using torn = await world()
  const random = randomOf(SEED)
  expect(open(await torn.copy())).toEqual(torn.facts)
  const seen = { lost: 0, sound: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    const file = await torn.copy()
    const target = `${file}${random(2) === 0 ? '' : '-wal'}`
    const content = await readFile(target)
    const [offset, kind] = [random(content.length), random(3)]
    const length = 1 + random(kind === 1 ? 8 : 5000)
    if (kind === 0) await truncate(target, offset)
    else {
      const bytes = Buffer.from(Array.from({ length: Math.min(length, content.length - offset) }, () => random(256)))
      bytes.copy(content, offset)
      await writeFile(target, content)
    }
    const found = open(file)
    const what = `seed ${SEED}, round ${round}: ${kind === 0 ? 'cut' : `${length} bytes overwritten`} at ${offset} of ${target}`
    if (found === 'lost') seen.lost++
    else expect(found, what).toEqual(torn.facts)
    if (found !== 'lost') seen.sound++
  }
  // Both kinds of outcome are there to be found: what is overwritten may be of no account.
  expect(seen.lost).toBeGreaterThan(ROUNDS / 4)
})

test('a log whose end is torn off between two commits is not taken for a shorter one', {
  timeout: 60_000,
}, async () => {
  await using torn = await world()
  const frame = 24 + 4096
  const whole = await readFile(`${await torn.copy()}-wal`)
  // A log begins with a header of 32 bytes; each commit ends with a frame of one page.
  for (let size = 32; size < whole.length; size += frame) {
    const file = await torn.copy()
    await truncate(`${file}-wal`, size)
    expect(open(file), `${size} of ${whole.length} bytes`).toBe('lost')
  }
  const without = await torn.copy()
  await rm(`${without}-wal`)
  expect(open(without)).toBe('lost')
})

test('a torn or missing seal keeps no sound catalogue from being opened', { timeout: 60_000 }, async () => {
  await using torn = await world()
  const without = await torn.copy()
  await rm(`${without}-seal`)
  expect(open(without)).toEqual(torn.facts)
  for (const size of [0, 100, 512, 600]) {
    const file = await torn.copy()
    await truncate(`${file}-seal`, size)
    expect(open(file)).toEqual(torn.facts)
  }
  const garbled = await torn.copy()
  await writeFile(`${garbled}-seal`, Buffer.alloc(1024, 'x'))
  expect(open(garbled)).toEqual(torn.facts)
})
