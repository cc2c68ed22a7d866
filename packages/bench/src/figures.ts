/** Times of one thing, over all runs, in milliseconds. */
export interface Figures {
  p50: number
  p95: number
  min: number
  runs: number
}

/** @param times milliseconds, at least one */
export function figuresOf(times: readonly number[]): Figures {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
  return { p50: at(0.5), p95: at(0.95), min: sorted[0] ?? Number.NaN, runs: sorted.length }
}

/** Milliseconds that the work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}
