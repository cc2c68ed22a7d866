/** What is told of one measure's samples, in their unit. */
export interface Figures {
  p50: number
  p95: number
  p99: number
  min: number
  runs: number
}

/** @param samples at least one */
export function figuresOf(samples: readonly number[]): Figures {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), min: sorted[0] ?? Number.NaN, runs: sorted.length }
}
