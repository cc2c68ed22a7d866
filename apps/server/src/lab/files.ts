import { readFile } from 'node:fs/promises'
import { isSystemError } from '@dblab/provision'

export { writeFileAtomically } from '@dblab/provision'

export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}
