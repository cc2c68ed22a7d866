import { randomInt } from 'node:crypto'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { History } from './history.ts'
import { readHistory } from './replay.ts'

const DRIVERS = ['btrfs', 'zfs', 'reflink', 'copy'] as const

/** A history that was written to a file. */
export interface Replay {
  file: string
  history: History
}

export interface Options {
  kills: number
  seed: number
  driver: (typeof DRIVERS)[number]
  dataset?: string
  allPoints?: boolean
  shrink: boolean
  replay?: Replay
}

export const program = new Command('torture')
  .description('have a lab suffer random histories and faults, and compare what is there with what must be')
  .option('--kills <number>', 'how often a process is killed', atLeastOne, 100)
  .option('--seed <number>', 'of what is chosen at random in each history', count, randomInt(2 ** 31))
  .addOption(new Option('--driver <name>', 'storage').choices(DRIVERS).default('btrfs'))
  .option('--dataset <name>', 'for zfs: a dataset to keep the labs below; left out: a pool in a file')
  .option('--no-shrink', 'end with the first history that fails, without looking for a shorter one')
  .option('--all-points', 'fail unless a process was killed at every fail point')
  .addOption(
    new Option('--replay <file>', 'have a new lab suffer the history that a failure has written, once')
      .argParser(replay)
      .conflicts(['kills', 'seed', 'allPoints']),
  )

function count(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError('must be a whole number')
  return value
}

/** A run that kills nothing would say that nothing was lost. */
function atLeastOne(text: string): number {
  const value = count(text)
  if (value < 1) throw new InvalidArgumentError('must be at least 1')
  return value
}

function replay(file: string): Replay {
  try {
    return { file, history: readHistory(file) }
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
  }
}
