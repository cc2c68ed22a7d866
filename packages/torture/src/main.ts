import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { testPool } from '@dblab/provision/testbed/zfs-pool'
import { zfsIsHere } from '@dblab/provision/testbed/zfs-runner'
import fc from 'fast-check'
import { mustGoApart, runApart } from './apart.ts'
import { type History, histories } from './history.ts'
import type { LabOptions } from './lab.ts'
import { type Options, program, type Replay } from './options.ts'
import { Ordeal } from './ordeal.ts'
import { Tally } from './tally.ts'
import { runElsewhere } from './zfs-elsewhere.ts'

/** A start takes up to a second, and where ZFS is had by a kernel within the kernel, several. */
const LONGEST_MS = { btrfs: 4000, zfs: 12_000, reflink: 4000, copy: 4000 } as const

const { kills, seed, driver, dataset: named, allPoints, shrink, replay } = program.parse().opts<Options>()
if (driver === 'zfs' && !zfsIsHere()) process.exit(runElsewhere(process.argv.slice(2)))
// Destroyed at the end, unless a lab in it broke.
const pool = driver === 'zfs' && named === undefined ? await testPool() : undefined
const dataset = named ?? pool?.name
const needsRoot = driver === 'btrfs' || driver === 'zfs'
if (needsRoot && process.getuid?.() !== 0) program.error(`torture: ${driver} needs root, for the pool of the lab`)
if (driver !== 'zfs' && mustGoApart()) process.exit(runApart())

const lab: LabOptions = { driver, dataset }
const tally = new Tally(driver)
let ordeal: Ordeal | undefined
/** The first lab that did not stand it. */
let broken: string | undefined

/** What is kept of a failure. */
const kept = join(process.cwd(), replay ? 'torture-replay' : `torture-${seed}`)
const started = Date.now()

/** In the lab of the histories before, as long as they went well: a shrunk one gets a new lab. */
async function suffer(history: History): Promise<void> {
  ordeal ??= await Ordeal.begin(lab, tally)
  await stand(ordeal, (it) => it.suffer(history))
  if (ordeal?.isWornOut) await end()
}

/** Destroys the lab of the histories so far, where there is one. */
async function end(): Promise<void> {
  if (ordeal) await stand(ordeal, (it) => it.end())
  ordeal = undefined
}

/** A lab that does not stand it is none for another history; the first one is left as it is. */
async function stand(it: Ordeal, work: (it: Ordeal) => Promise<void>): Promise<void> {
  try {
    await work(it)
  } catch (error) {
    say(String(error))
    if (broken === undefined) await keepLogs(it.lab.directory)
    await it.giveUp(broken === undefined)
    broken ??= it.lab.directory
    ordeal = undefined
    throw error
  }
}

/** Where the labs go with the machine that they are on, the logs stay. */
async function keepLogs(directory: string): Promise<void> {
  await mkdir(kept, { recursive: true })
  for (const name of ['server.log', 'history.log', 'faults.log'])
    await cp(join(directory, name), join(kept, name), { force: true })
  say(`  the lab is left as it is in ${directory}, and its logs are in ${kept}`)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function seconds(): number {
  return Math.round((Date.now() - started) / 1000)
}

function fail(error: unknown, where: string): never {
  say(`FAILED after ${seconds()} s: ${tally}`)
  say(String(error))
  say(where)
  process.exit(1)
}

/** One history after another, until enough was killed. */
async function sufferMany(): Promise<void> {
  const isEnough = () => tally.kills >= kills && !(allPoints && tally.unproven.length > 0 && tally.kills < 2 * kills)
  for (let batch = 0; !isEnough(); batch++) {
    const property = fc.asyncProperty(histories(tally.points, tally.unproven, LONGEST_MS[driver]), suffer)
    const details = await fc.check(property, {
      numRuns: 1,
      seed: seed + batch,
      endOnFailure: !shrink,
      interruptAfterTimeLimit: 30 * 60_000,
    })
    if (details.failed) {
      const file = `${kept}.json`
      await writeFile(file, `${JSON.stringify(details.counterexample?.[0], null, 2)}\n`)
      fail(details.errorInstance, `seed ${seed}, history ${batch}; shrunk ${details.numShrinks} times, to ${file}`)
    }
    say(`${seconds()} s: ${tally}`)
  }
  await end().catch((error: unknown) => fail(error, `seed ${seed}; at the destruction of the last lab`))
}

async function sufferAgain({ file, history }: Replay): Promise<void> {
  await suffer(history)
    .then(end)
    .catch((error: unknown) => fail(error, `the history of ${file}`))
  say(`${seconds()} s: ${tally}`)
}

/** @returns whether what was done is enough to say that nothing was found */
function summarize(): boolean {
  const { points, unproven, unreached, unlisted, isLopsided, outside, outsidePercent } = tally
  const reached = points.length - unreached.length
  say(`fail points: ${points.length}; reached ${reached}, killed at ${points.length - unproven.length}`)
  if (unproven.length > 0) say(`not killed at: ${unproven.join(', ')}`)
  if (unlisted.length > 0) say(`reached, and not in the list: ${unlisted.join(', ')}`)
  const share = `${outside} of them (${outsidePercent} %) from outside at random times`
  say(`0 lost, 0 orphaned, 0 stuck after ${tally.kills} kills, ${share}`)
  if (isLopsided) say(`FAILED: of ${tally.kills} kills, more than a third must come from outside, and ${outside} did`)
  return unlisted.length === 0 && !isLopsided && !(allPoints && unproven.length > 0)
}

if (replay) say(`torture: the history of ${replay.file} on ${driver}`)
else say(`torture: ${kills} kills on ${driver}, seed ${seed}`)
await (replay ? sufferAgain(replay) : sufferMany())
await pool?.[Symbol.asyncDispose]()
if (!summarize()) process.exit(1)
