import { createHash } from 'node:crypto'
import type { CreateCloneRequest } from '@dblab/models'

/** Without the password: what is kept must not help to guess it. */
export function requestHash({ db: { password: _, ...db }, ...request }: CreateCloneRequest): string {
  const ofDb = Object.entries(db).map(([key, value]) => [`db.${key}`, value] as const)
  const sorted = [...Object.entries(request), ...ofDb].sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex')
}
