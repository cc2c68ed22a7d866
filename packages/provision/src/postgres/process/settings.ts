import { join } from 'node:path'
import { ProvisionError } from '../../errors.ts'
import { CommandError, run } from '../../exec.ts'
import type { PostgresBinaries } from '../binaries.ts'
import type { Account } from '../runtime.ts'
import { checkSettings } from './arguments.ts'

/**
 * Lets `postgres -C` read the settings: it prints the value of one parameter and ends, but refuses first what it does not know and values
 * that can't be (PostgreSQL manual, "postgres", -C). What only a start can tell, such as more memory than there is, passes.
 *
 * @param directory stands in for a data directory; nothing is read or written there
 * @throws ProvisionError INVALID
 */
export async function tryOutSettings(
  settings: Readonly<Record<string, string>>,
  { binDir, major }: PostgresBinaries,
  { directory, account }: { directory: string; account: Account },
): Promise<void> {
  checkSettings(settings)
  const given = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  try {
    await run([join(binDir, 'postgres'), '-D', directory, '-c', 'config_file=/dev/null', ...given, '-C', 'port'], {
      cwd: directory,
      ...(process.getuid?.() === 0 && { account }),
    })
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    throw new ProvisionError('INVALID', `PostgreSQL ${major} does not take the settings: ${reason(error.stderr)}`, {
      cause: error,
      hint: `The manual of PostgreSQL ${major}, "Server Configuration", has the names and their values.`,
    })
  }
}

/** Postgres' own sentence, without the time before it. */
function reason(stderr: string): string {
  return /(?:FATAL|ERROR): +(.*)/.exec(stderr)?.[1] ?? stderr.trim()
}
