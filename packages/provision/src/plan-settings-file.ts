import { join } from 'node:path'
import { isSystemError, ProvisionError } from './errors.ts'
import { readForeignFile } from './files.ts'
import type { AccountFiles } from './physical/account-files.ts'
import { planSettingsOf } from './postgres/plan-settings.ts'

/**
 * At the top of a base's volume, beside the cluster: so it comes along with each snapshot and each clone, and what is cloned of that, and is there
 * whatever becomes of the catalogue.
 */
const FILE = 'plan-settings.json'

export async function writePlanSettings(
  volumePath: string,
  settings: Readonly<Record<string, string>>,
  files: AccountFiles,
): Promise<void> {
  const path = join(volumePath, FILE)
  await files.write(path, `${JSON.stringify(settings, null, 2)}\n`)
  await files.flush(path)
}

/**
 * The account of Postgres can write there, so nothing is taken of it that a source could not have brought in.
 *
 * @throws ProvisionError FAILED where there are none
 */
export async function readPlanSettings(volumePath: string): Promise<Record<string, string>> {
  const found = parse(await read(join(volumePath, FILE)))
  if (found) return planSettingsOf(found).found
  throw new ProvisionError('FAILED', "the settings of the data's source are not with the data", {
    hint: 'A clone of another profile does without them; a reset brings those of the snapshot back.',
  })
}

async function read(path: string): Promise<string> {
  try {
    return (await readForeignFile(path))?.toString('utf8') ?? ''
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return ''
    throw error
  }
}

function parse(text: string): Record<string, string> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return Object.fromEntries(Object.entries(value).map(([name, setting]) => [name, String(setting)]))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
