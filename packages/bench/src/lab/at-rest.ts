import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchLab } from './lab.ts'

const PAUSE_MS = 1000
/** Until the lab has removed a deleted clone's volume, and seen to it that its room is free. */
const REMOVED_WITHIN_MS = 2000
const LOOK_MS = 100
const PREPARED_WITHIN_MS = 300_000

/**
 * Resolves once the lab has prepared all that it wants to, and had a pause since: what it does for the next clone is not this one's.
 *
 * @throws Error where it does not come to that
 */
export async function atRest({ client }: BenchLab, pauseMs = PAUSE_MS): Promise<void> {
  const latest = performance.now() + PREPARED_WITHIN_MS
  for (let quietMs = 0; quietMs < pauseMs; quietMs += LOOK_MS) {
    await sleep(LOOK_MS)
    const { ready, target } = (await client.status()).warm
    if (ready >= target) continue
    quietMs = 0
    if (performance.now() > latest) throw new Error(`the lab has prepared ${ready} instances of ${target}, and no more`)
  }
}

/** The sides as they are, but that none begins before what those before it have written or removed is dealt with, in the pool and by the lab. */
export function rested<S extends Record<string, () => Promise<unknown>>>(lab: BenchLab, sides: S): S {
  const afterRest = (side: () => Promise<unknown>) => async () => {
    await atRest(lab, REMOVED_WITHIN_MS)
    await lab.pool.settle()
    return side()
  }
  return Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, afterRest(side)])) as S
}
