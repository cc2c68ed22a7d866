import { availableParallelism } from 'node:os'

/**
 * A creation takes its processor for two thirds of its time, and waits for its disk and for others' processes meanwhile: with two of them for
 * each processor, none is idle while anything waits. With more, each takes longer and all together are hardly done sooner.
 */
const FOR_EACH_PROCESSOR = 2

/** The server itself, which has one processor for its part of all of them, is busy all the time with fewer. */
const MOST = 16

/**
 * How many creations and resets run at the same time where nobody says.
 *
 * @param processors those that this process may use; a bound of its control group counts
 */
export function automaticConcurrency(processors: number = availableParallelism()): number {
  return Math.min(MOST, Math.max(1, processors) * FOR_EACH_PROCESSOR)
}
