import { describe, test } from 'vitest'

/** Names of drivers whose tests may not be skipped, such as `zfs,btrfs`: what CI sets, so that green means tested. */
const REQUIRED = new Set((process.env.REQUIRED_DRIVERS ?? '').split(/[\s,]+/).filter((name) => name !== ''))

/**
 * Declares the tests of a driver, or skips them and says why. Skipping what `REQUIRED_DRIVERS` names is a failure.
 *
 * @param missing what the machine lacks; undefined when it has it all
 */
export function describeDriver(name: string, missing: string | undefined, declare: () => void): void {
  if (missing === undefined) {
    declare()
    return
  }
  if (!REQUIRED.has(name)) {
    describe.skip(`storage driver ${name}: ${missing}`, declare)
    return
  }
  test(`storage driver ${name} can be tested`, () => {
    throw new Error(`REQUIRED_DRIVERS names ${name}, but ${missing}`)
  })
}
