import { figuresOf } from './figures.ts'
import { studentQuantile } from './student.ts'

/** How one measure stands to another that was taken in turns with it. */
export interface Ratio {
  /** Of the two medians: what the table shows. */
  p50: number
  /** Geometric mean of the ratios of each turn: what the interval is about, and what is compared with another run. */
  mean: number
  /** Where the 95 % interval of the mean begins, and ends; both are the mean where there was one turn, of which no spread can be told. */
  low: number
  high: number
}

/**
 * Ratio of paired samples: the first of each with the first of the other, and so on. What the machine did meanwhile hit both of a pair, so their
 * ratio spreads less than they do. Ratios are averaged as logarithms, which makes twice as fast and twice as slow the same distance
 * from even, and the interval is Student's of that average.
 *
 * @returns undefined where a sample is not above zero: no ratio can be told
 * @throws RangeError for lists that are empty, or not of one length
 */
export function pairedRatio(measured: readonly number[], baseline: readonly number[]): Ratio | undefined {
  if (measured.length === 0 || measured.length !== baseline.length)
    throw new RangeError('samples are paired one to one')
  if ([...measured, ...baseline].some((sample) => !(sample > 0))) return undefined
  const logs = measured.map((sample, index) => Math.log(sample / (baseline[index] ?? Number.NaN)))
  const mean = average(logs)
  const half = halfWidth(logs, mean)
  return {
    p50: figuresOf(measured).p50 / figuresOf(baseline).p50,
    mean: Math.exp(mean),
    low: Math.exp(mean - half),
    high: Math.exp(mean + half),
  }
}

function halfWidth(values: readonly number[], mean: number): number {
  if (values.length === 1) return 0
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
  return studentQuantile(values.length - 1) * Math.sqrt(variance / values.length)
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
