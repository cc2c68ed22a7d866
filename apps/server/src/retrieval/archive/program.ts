import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { isSystemError, ProvisionError, searchPath } from '@dblab/provision'

/**
 * Where a program is.
 *
 * @param name a path, or a name to be looked for where the server looks for programs
 * @throws ProvisionError UNAVAILABLE
 */
export async function needProgram(name: string, hint: string): Promise<string> {
  const places = isAbsolute(name)
    ? [name]
    : searchPath()
        .split(delimiter)
        .filter(isAbsolute)
        .map((place) => join(place, name))
  for (const path of places) if (await canBeRun(path)) return path
  throw new ProvisionError('UNAVAILABLE', `there is no program ${name} on this machine`, { hint })
}

async function canBeRun(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) return false
    throw error
  }
}
