import { isProvisionError } from '../errors.ts'
import type { PostgresRuntime } from './runtime.ts'

type Settings = Readonly<Record<string, string>>

export interface TakenSettings {
  kept: Record<string, string>
  /** Names of those that the server does not know, or whose values it does not take. */
  notKept: string[]
}

/** What a server of that major takes of settings that were another one's. */
export async function takenSettings(
  runtime: PostgresRuntime,
  settings: Settings,
  major: number,
): Promise<TakenSettings> {
  const are = (some: Settings) => areTaken(runtime, some, major)
  // Which of them is not, only one by one would tell.
  if (await are(settings)) return { kept: { ...settings }, notKept: [] }
  const result: TakenSettings = { kept: {}, notKept: [] }
  for (const [name, value] of Object.entries(settings)) {
    if (await are({ [name]: value })) result.kept[name] = value
    else result.notKept.push(name)
  }
  return result
}

async function areTaken(runtime: PostgresRuntime, settings: Settings, major: number): Promise<boolean> {
  // A file has a line for each.
  if (Object.values(settings).some((value) => /[\n\r\0]/.test(value))) return false
  try {
    await runtime.checkSettings(settings, major)
    return true
  } catch (error) {
    if (isProvisionError(error, 'INVALID')) return false
    throw error
  }
}
