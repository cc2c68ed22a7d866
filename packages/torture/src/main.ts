import { randomInt } from 'node:crypto'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { testPool } from '@dblab/provision/testbed/zfs-pool'
import { zfsIsHere } from '@dblab/provision/testbed/zfs-runner'
import { Command, InvalidArgumentError } from 'commander'
import fc from 'fast-check'
import { mustGoApart, runApart } from './apart.ts'
import { type History, histories } from './history.ts'
import type { LabOptions } from './lab.ts'
import { Ordeal } from './ordeal.ts'
import { Tally } from './tally.ts'
import { runElsewhere } from './zfs-elsewhere.ts'

const DRIVERS = ['btrfs', 'zfs', 'reflink', 'copy'] as const

/** A start takes up to a second, and where ZFS is had by a kernel within the kernel, several. */
const LONGEST_MS = { btrfs: 4000, zfs: 12_000, reflink: 4000, copy: 4000 } as const

function count(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('must be a whole number')
  return value
}

interface Options {
  kills: number
  seed: number
  driver: (typeof DRIVERS)[number]
  dataset?: string
  allPoints?: boolean
  shrink: boolean
}

const program = new Command('torture')
  .description('have a lab suffer random histories and faults, and compare what is there with what must be')
  .option('--kills <number>', 'how often a process is killed', count, 100)
  .option('--seed <number>', 'of everything that is chosen at random', count, randomInt(2 ** 31))
  .option('--driver <name>', `storage: ${DRIVERS.join(', ')}`, 'btrfs')
  .option('--dataset <name>', 'for zfs: a dataset to keep the labs below; left out: a pool in a file')
  .option('--no-shrink', 'end with the first history that fails, without looking for a shorter one')
  .option('--all-points', 'fail unless a process was killed at every fail point')
const { kills, seed, driver, dataset: named, allPoints, shrink } = program.parse().opts<Options>()
if (!DRIVERS.includes(driver)) program.error(`torture: no driver is called ${driver}`)
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

/** In the lab of the histories before, as long as they went well: a shrunk one gets a new lab. */
async function suffer(history: History): Promise<void> {
  ordeal ??= await Ordeal.begin(lab, tally)
  try {
    await ordeal.suffer(history)
  } catch (error) {
    process.stdout.write(`${String(error)}\n`)
    if (broken === undefined) await keepLogs(ordeal.lab.directory)
    await ordeal.giveUp(broken === undefined)
    broken ??= ordeal.lab.directory
    ordeal = undefined
    throw error
  }
  if (!ordeal.isWornOut) return
  await ordeal.end()
  ordeal = undefined
}

/** Where the labs go with the machine that they are on, the logs stay. */
async function keepLogs(directory: string): Promise<void> {
  const kept = join(process.cwd(), `torture-${seed}`)
  await mkdir(kept, { recursive: true })
  for (const name of ['server.log', 'history.log', 'faults.log'])
    await cp(join(directory, name), join(kept, name), { force: true })
  process.stdout.write(`  the lab is left as it is in ${directory}, and its logs are in ${kept}\n`)
}

process.stdout.write(`torture: ${kills} kills on ${driver}, seed ${seed}\n`)
const started = Date.now()
for (
  let batch = 0;
  tally.kills < kills || (allPoints && tally.unproven.length > 0 && tally.kills < 2 * kills);
  batch++
) {
  const property = fc.asyncProperty(histories(tally.points, tally.unproven, LONGEST_MS[driver]), suffer)
  const details = await fc.check(property, {
    numRuns: 1,
    seed: seed + batch,
    endOnFailure: !shrink,
    interruptAfterTimeLimit: 30 * 60_000,
  })
  const seconds = Math.round((Date.now() - started) / 1000)
  if (details.failed) {
    const file = join(process.cwd(), `torture-${seed}.json`)
    await writeFile(file, `${JSON.stringify(details.counterexample?.[0], null, 2)}\n`)
    process.stdout.write(`FAILED after ${seconds} s: ${tally}\n`)
    process.stdout.write(`${String(details.errorInstance)}\n`)
    process.stdout.write(`seed ${seed}, history ${batch}; shrunk ${details.numShrinks} times, to ${file}\n`)
    process.exit(1)
  }
  process.stdout.write(`${seconds} s: ${tally}\n`)
}
await ordeal?.end()
await pool?.[Symbol.asyncDispose]()

const { points, unproven, unreached, unlisted } = tally
process.stdout.write(
  `fail points: ${points.length}; reached ${points.length - unreached.length}, killed at ${points.length - unproven.length}\n`,
)
if (unproven.length > 0) process.stdout.write(`not killed at: ${unproven.join(', ')}\n`)
if (unlisted.length > 0) process.stdout.write(`reached, and not in the list: ${unlisted.join(', ')}\n`)
process.stdout.write(
  `0 lost, 0 orphaned, 0 stuck after ${tally.kills} kills, ${tally.outside} of them (${tally.outsidePercent} %) from outside at random times\n`,
)
if (unlisted.length > 0 || (allPoints && unproven.length > 0)) process.exit(1)
