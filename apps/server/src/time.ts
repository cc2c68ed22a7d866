import { LabError } from './errors.ts'

/** RFC 3339's date-time, and a plain date: what people and `Date.toISOString` write. A time without a zone is UTC. */
const TIME = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?$/i

/** The same moment in UTC, or undefined when the text is no ISO 8601 time. */
export function parseTime(text: string): string | undefined {
  const match = TIME.exec(text)
  if (!match) return undefined
  const zoned = text.length > 10 && !match[1] ? `${text}Z` : text
  const time = new Date(zoned.replace(' ', 'T'))
  // JavaScript takes the 31st of February for the 3rd of March.
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`)
  if (Number.isNaN(time.getTime()) || Number.isNaN(day.getTime())) return undefined
  // Nor is a year of more or fewer than four digits one that can be compared as a text.
  const sound = day.toISOString().startsWith(text.slice(0, 10)) && /^\d{4}-/.test(time.toISOString())
  return sound ? time.toISOString() : undefined
}

/** As whole milliseconds, which Node's timeouts must be: as many as there are at least. */
export function toMilliseconds(seconds: number): number {
  return Math.ceil(seconds * 1000)
}

/** @throws LabError INVALID_REQUEST naming the field */
export function requireTime(text: string, field: string): string {
  const time = parseTime(text)
  if (time === undefined)
    throw new LabError('INVALID_REQUEST', `${field}: must be an ISO 8601 time such as 2026-01-31T12:00:00Z`)
  return time
}

/** @throws LabError INVALID_REQUEST naming the field, for a time that is over too */
export function requireFuture(text: string, field: string): string {
  const time = requireTime(text, field)
  const now = new Date().toISOString()
  if (time <= now) throw new LabError('INVALID_REQUEST', `${field}: must be in the future; here it is ${now}`)
  return time
}
