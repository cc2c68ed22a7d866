import type { Clone } from '@dblab/models'
import { LabError } from '../errors.ts'

export interface Page {
  /** How many at most; undefined for all. */
  limit?: number | undefined
  /** Those behind this place alone: the `next` of the page before. */
  after?: string | undefined
}

export interface ClonePage {
  clones: Clone[]
  /** Undefined where this is the last page. */
  next: string | undefined
}

/**
 * A part of a list that is ordered by `createdAt` and id. Each clone that is there from the first page to the last is on one of them, whatever is
 * made and deleted meanwhile: a page goes on behind a place in the order, and no matter whether anything is there still.
 *
 * @throws LabError INVALID_REQUEST for an `after` that no page had as its `next`
 */
export function pageOf(clones: readonly Clone[], { limit, after }: Page): ClonePage {
  const place = after === undefined ? undefined : parsePlace(after)
  const rest = place === undefined ? clones : clones.filter((clone) => isBehind(clone, place))
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  return { clones: page, next: last && page.length < rest.length ? formatPlace(last) : undefined }
}

type Place = Pick<Clone, 'createdAt' | 'id'>

function isBehind(clone: Place, place: Place): boolean {
  return clone.createdAt === place.createdAt ? clone.id > place.id : clone.createdAt > place.createdAt
}

/** Packed, so that nobody makes one: what stands in it may be another in a later version. */
function formatPlace({ createdAt, id }: Place): string {
  return Buffer.from(`${createdAt} ${id}`).toString('base64url')
}

function parsePlace(text: string): Place {
  const [, createdAt, id] = /^(\d\S+) ([a-z0-9-]+)$/.exec(Buffer.from(text, 'base64url').toString()) ?? []
  if (createdAt === undefined || id === undefined) {
    throw new LabError('INVALID_REQUEST', 'after: must be as the Link header of the page before has it')
  }
  return { createdAt, id }
}
