import type { Clone } from '@dblab/models'
import type { TestLab } from './lab.ts'

/** What the user of every clone that is made here logs in with. */
export const LOGIN = { username: 'alice', password: 'a password of the tests' }

/** A new clone, as the lab answers when it is ready or has failed. */
export async function createClone(lab: TestLab, fields: Record<string, unknown> = {}): Promise<Clone> {
  const json = { db: LOGIN, ...fields }
  return (await (await lab.fetch('/clone?wait=60', { method: 'POST', json })).json()) as Clone
}

/** Where its user logs in, password included. */
export function urlOf(clone: Pick<Clone, 'db'>, password: string = LOGIN.password): string {
  const url = new URL(clone.db.connStr)
  url.password = encodeURIComponent(password)
  return url.href
}
