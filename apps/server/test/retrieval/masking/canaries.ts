import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isSystemError } from '@dblab/provision'
import { filesBelow } from '../../support/files-below.ts'

/** A text that is nowhere else, that no compression shortens, and that can be found wherever its bytes are. */
export function canary(name: string): string {
  return createHash('sha256')
    .update(`canary of ${name}`)
    .digest('base64')
    .replaceAll(/[^a-zA-Z0-9]/g, 'x')
}

/** Which of these texts are in which of the files below the directory. */
export async function search(
  directory: string,
  texts: readonly (string | Buffer)[],
): Promise<Map<string | Buffer, string[]>> {
  const found = new Map<string | Buffer, string[]>()
  for await (const path of filesBelow(directory)) {
    // A lab that lives writes labels, and removes what is deleted.
    const content = await readFile(path).catch(ignoreGone)
    if (!content) continue
    for (const text of texts) {
      if (content.includes(text)) found.set(text, [...(found.get(text) ?? []), path.slice(directory.length + 1)])
    }
  }
  return found
}

function ignoreGone(error: unknown): undefined {
  if (!isSystemError(error, 'ENOENT')) throw error
}
