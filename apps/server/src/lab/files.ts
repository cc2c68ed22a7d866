import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isSystemError } from '@dblab/provision'

/** Whole and on disk, or as it was: written beside, flushed, renamed. Only this account can read it. */
export async function writeFileAtomically(file: string, text: string): Promise<void> {
  const beside = `${file}.new`
  const handle = await open(beside, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(beside, file)
  const directory = await open(dirname(file), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}
