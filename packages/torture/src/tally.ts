import { readFileSync } from 'node:fs'
import { COMMON_POINTS, DRIVER_POINTS, RARE_POINTS } from '@dblab/provision'

/** What has been done to labs so far. */
export class Tally {
  inside = 0
  /** By SIGKILL at a random time, while a server started or was at work, or a command ran. */
  outside = 0
  /** Likewise, but when all was done: no kills to boast of. */
  quiet = 0
  throws = 0
  delays = 0
  histories = 0
  operations = 0
  /** Every fail point that a lab on this driver can come to. */
  readonly points: readonly string[]
  readonly #reached = new Set<string>()
  readonly #killed = new Set<string>()
  readonly #read = new Map<string, number>()

  constructor(driver: keyof typeof DRIVER_POINTS) {
    this.points = [...COMMON_POINTS, ...DRIVER_POINTS[driver]]
  }

  get kills(): number {
    return this.inside + this.outside
  }

  /** How many of the kills came from outside, in percent. */
  get outsidePercent(): number {
    return Math.round((100 * this.outside) / Math.max(this.kills, 1))
  }

  /** Many kills, and no more than a third of them from outside: too few of those at a time that nobody chose. */
  get isLopsided(): boolean {
    return this.kills >= 100 && 3 * this.outside <= this.kills
  }

  /** Those at which no process was killed so far. */
  get unproven(): string[] {
    return this.points.filter((point) => !this.#killed.has(point))
  }

  /** Those that no process has come to. */
  get unreached(): string[] {
    return this.points.filter((point) => !this.#reached.has(point))
  }

  /** Those that were come to and that the list does not have: it has to be kept. */
  get unlisted(): string[] {
    return [...this.#reached].filter((point) => !this.points.includes(point) && !RARE_POINTS.includes(point)).sort()
  }

  /** Takes in what the processes of a lab have written since the last time. */
  take(file: string): void {
    const lines = read(file).split('\n').filter(Boolean)
    for (const line of lines.slice(this.#read.get(file) ?? 0)) {
      const [, verb, rest = ''] = /^(\w+) (.*)$/.exec(line) ?? []
      if (verb === 'reached') this.#reached.add(rest)
      if (verb !== 'struck') continue
      const action = rest.split(' ').at(-1)
      const point = rest.slice(0, rest.length - (action?.length ?? 0) - 1)
      if (action === 'kill') {
        this.#killed.add(point)
        this.inside++
      }
      if (action === 'throw') this.throws++
      if (action === 'delay') this.delays++
    }
    this.#read.set(file, lines.length)
  }

  toString(): string {
    const { kills, outside, outsidePercent, quiet, throws, delays, histories, operations, points, unproven } = this
    const proven = points.length - unproven.length
    return `${kills} kills (${outside}, or ${outsidePercent} %, from outside; ${quiet} at quiet moments not counted), ${throws} failed steps, ${delays} delays in ${histories} histories with ${operations} operations; killed at ${proven} of ${points.length} fail points`
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
