import type { Dirent } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError } from '@dblab/provision'

/** Every file below a directory, those of mounted file systems too. What goes meanwhile is passed over. */
export async function* filesBelow(
  directory: string,
  enters: (directory: string) => boolean = () => true,
): AsyncGenerator<string> {
  for (const entry of await entriesOf(directory)) {
    const path = join(directory, entry.name)
    if (entry.isFile()) yield path
    else if (entry.isDirectory() && enters(path)) yield* filesBelow(path, enters)
  }
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    return await readdir(directory, { withFileTypes: true })
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error
    return []
  }
}
