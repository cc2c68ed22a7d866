import type { CloneRecord } from '../catalogue/clones.ts'
import type { Config } from '../config/schema.ts'
import { LabError } from '../errors.ts'

export type CloneLimits = Pick<Config['clones'], 'max' | 'maxPerToken' | 'maxPerProject' | 'maxPerUsername'>

/**
 * To be asked in the transaction that writes the clone down: counted before it, two that come at once would both be the last. Clones
 * that are being deleted don't count. Those without a project, or a username, count together: else leaving it out would lift the limit.
 *
 * @throws LabError CLONE_LIMIT_REACHED, naming the limit
 */
export function requireRoomFor(clone: CloneRecord, all: readonly CloneRecord[], limits: CloneLimits): void {
  const others = all.filter(({ id, status }) => id !== clone.id && status !== 'DELETING')
  const sameToken = others.filter(({ tokenId }) => tokenId === clone.tokenId)
  const sameProject = others.filter(({ project }) => project === clone.project)
  const sameUsername = others.filter(({ username }) => username === clone.username)
  requireFewer(others, limits.max, 'the lab', 'clones.max')
  requireFewer(sameToken, limits.maxPerToken, 'the token', 'clones.maxPerToken')
  requireFewer(sameProject, limits.maxPerProject, 'the project', 'clones.maxPerProject')
  requireFewer(sameUsername, limits.maxPerUsername, 'the username', 'clones.maxPerUsername')
}

function requireFewer(clones: readonly CloneRecord[], limit: number | undefined, whose: string, key: string): void {
  if (limit === undefined || clones.length < limit) return
  // Without their number: some may be others', whom a member knows nothing of.
  throw new LabError('CLONE_LIMIT_REACHED', `${whose} has as many clones as it may: ${key} is ${limit}`)
}
