import { setTimeout as sleep } from 'node:timers/promises'

export interface SteadyRate {
  perSecond: number
  seconds: number
}

/**
 * Has requests begin at a steady rate, whatever those before them do, and takes the time of each from when it was due: one that has to wait for
 * a slow one before it is slow, too.
 *
 * @param request given the number of it, from 0 on
 * @returns milliseconds of each
 * @throws what a request throws
 */
export async function atSteadyRate(
  { perSecond, seconds }: SteadyRate,
  request: (number: number) => Promise<unknown>,
): Promise<number[]> {
  const started = performance.now()
  const times = Array.from({ length: perSecond * seconds }, async (_, number) => {
    const due = started + (number * 1000) / perSecond
    await sleep(Math.max(0, due - performance.now()))
    // A timer may be early by a part of a millisecond.
    const from = Math.min(due, performance.now())
    await request(number)
    return performance.now() - from
  })
  return Promise.all(times)
}
