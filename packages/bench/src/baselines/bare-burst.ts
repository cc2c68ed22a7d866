import { type BareClone, bareClone } from './bare-sequence.ts'
import type { BareSide } from './bare-side.ts'

/**
 * A plain script that makes so many at once, with so many of them under way.
 *
 * @returns milliseconds until the last has its first row; all are removed when this resolves
 */
export async function bareBurst(
  side: BareSide,
  source: string,
  database: string,
  { clones, concurrency }: { clones: number; concurrency: number },
): Promise<number> {
  const made: BareClone[] = []
  let begun = 0
  const worker = async () => {
    while (begun++ < clones) made.push(await bareClone(side, source, database))
  }
  try {
    const started = performance.now()
    const workers = Array.from({ length: concurrency }, worker)
    try {
      await Promise.all(workers)
      return performance.now() - started
    } finally {
      // One that failed ends none of the others.
      await Promise.allSettled(workers)
    }
  } finally {
    for (const clone of made) await clone[Symbol.asyncDispose]()
  }
}
