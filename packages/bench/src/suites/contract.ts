import type { BenchLab, LabConfiguration, LabOptions } from '../lab/lab.ts'
import { type Figures, figuresOf } from '../measure/figures.ts'
import { pairedRatio, type Ratio } from '../measure/ratio.ts'

export type Unit = 'ms' | 'bytes' | 'transactions/s' | 'count'

/** One line of a table: a measure, and what it stands beside. */
export interface Row {
  /** The same in every run: by it, rows of two runs are compared. */
  name: string
  unit: Unit
  better: 'lower' | 'higher'
  figures: Figures
  baseline?: { name: string; figures: Figures }
  /** To the baseline; left out where a sample is zero, too. */
  ratio?: Ratio
}

/** A set of measures that need the same set-up. */
export interface Suite {
  name: string
  /** What it measures and beside what, in a sentence. */
  description: string
  /** @throws where something fails that may not: then the suite has failed */
  run(context: SuiteContext): Promise<Row[]>
}

/** What a suite gets. */
export interface SuiteContext {
  /** Small data and few runs: to see that it works. */
  quick: boolean
  /** Tells who waits what is going on. */
  say(text: string): void
  /** A fact without which the figures can't be read, such as how much a row holds. */
  note(text: string): void
  /** What could not be measured here, and why. */
  skip(what: string, reason: string): void
  /** The lab that all suites share, made by the first that asks, as this configuration has it. */
  lab(configuration: LabConfiguration): Promise<BenchLab>
  /** A lab of the suite's own, which it disposes of. */
  ownLab(options: Omit<LabOptions, 'driver' | 'dataset'>): Promise<BenchLab>
}

interface Measure {
  name: string
  /** Milliseconds where left out. */
  unit?: Unit
  samples: readonly number[]
}

/** A measure by itself. */
export function row({ name, unit = 'ms', samples }: Measure): Row {
  return { name, unit, better: better(unit), figures: figuresOf(samples) }
}

/**
 * A measure beside what was taken in turns with it.
 *
 * @throws RangeError where the two do not have as many samples
 */
export function rowBeside(measure: Measure, baseline: { name: string; samples: readonly number[] }): Row {
  const ratio = pairedRatio(measure.samples, baseline.samples)
  return {
    ...row(measure),
    baseline: { name: baseline.name, figures: figuresOf(baseline.samples) },
    ...(ratio && { ratio }),
  }
}

function better(unit: Unit): Row['better'] {
  return unit === 'transactions/s' ? 'higher' : 'lower'
}
