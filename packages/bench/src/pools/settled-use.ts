import type { Pool, PoolBytes } from './pool.ts'

/** More than it took on any machine so far. */
const MOST_LOOKS = 20

/**
 * What the pool holds once nothing changes any more: what was removed is given back bit by bit, by one commit after another.
 *
 * @throws Error where it goes on changing
 */
export async function settledUse(pool: Pool): Promise<PoolBytes | undefined> {
  let before: PoolBytes | undefined
  for (let look = 0; look < MOST_LOOKS; look++) {
    await pool.settle()
    const now = await pool.used()
    if (now === undefined || (now.data === before?.data && now.metadata === before.metadata)) return now
    before = now
  }
  throw new Error('what the pool holds goes on changing, though nothing should write to it')
}
