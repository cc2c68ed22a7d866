import type { WallClock } from './archive-header.ts'

/**
 * The time of `-- Started on 2026-02-03 10:20:30 CET`, which pg_dump --verbose writes. UTC and numeric zones are taken as they are; the abbreviation
 * of any other names no zone for certain, so the clock is read in the zone of this machine.
 */
export function parseStartedOn(text: string): Date | undefined {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?: (\S+))?/.exec(text)
  if (!match) return undefined
  const [, day, time, zone = ''] = match
  const numeric = /^([+-]\d\d):?(\d\d)?$/.exec(zone)
  const suffix = /^(UTC|GMT|Z)$/.test(zone) ? 'Z' : numeric ? `${numeric[1]}:${numeric[2] ?? '00'}` : ''
  const date = new Date(`${day}T${time}${suffix}`)
  return Number.isNaN(date.getTime()) ? undefined : date
}

/** The time of an archive's header, read in the zone of this machine, as pg_restore does. */
export function fromWallClock(clock: WallClock | undefined): Date | undefined {
  if (!clock) return undefined
  const date = new Date(clock.year, clock.month - 1, clock.day, clock.hour, clock.minute, clock.second)
  return Number.isNaN(date.getTime()) ? undefined : date
}

/**
 * When the data was as the dump shows it: when pg_dump began, or, where that isn't recorded or can't be right, when the file was last written. A
 * dump begins before its file is finished, so a later time was read in the wrong zone.
 */
export function dataStateAt(startedAt: Date | undefined, modifiedAt: Date): Date {
  return startedAt !== undefined && startedAt <= modifiedAt ? startedAt : modifiedAt
}
