import type { Login } from '@dblab/provision'
import type { CloneRecord } from '../catalogue/clones.ts'

/** As the catalogue has it: by its verifier. The password itself is kept nowhere. */
export function loginOf(clone: Pick<CloneRecord, 'dbUsername' | 'dbName' | 'verifier'>): Login {
  return { username: clone.dbUsername, database: clone.dbName, verifier: clone.verifier }
}
