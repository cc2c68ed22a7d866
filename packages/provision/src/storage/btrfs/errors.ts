import { ProvisionError, type ProvisionErrorCode } from '../../errors.ts'
import type { CommandError } from '../../exec.ts'

/** btrfs-progs end their messages with the system's own text for an errno, which `LC_ALL=C` keeps in English (strerror(3)). */
const KNOWN: readonly [text: RegExp, code: ProvisionErrorCode, hint: string][] = [
  [
    /No space left on device/,
    'NO_SPACE',
    'Delete clones or snapshots that nobody uses, or make the pool larger. btrfs may lack room for metadata while data would still fit.',
  ],
  [/Disk quota exceeded/, 'NO_SPACE', 'A btrfs quota group limits this volume: see `btrfs qgroup show`.'],
  [
    /Read-only file system/,
    'UNAVAILABLE',
    'The file system is read-only: `dmesg` tells whether btrfs gave up after an error.',
  ],
  [
    /Operation not permitted|Permission denied/,
    'UNAVAILABLE',
    'Run the server as root or as the account that owns the pool.',
  ],
  [/Input\/output error/, 'FAILED', 'The device below the pool fails: see `btrfs device stats` and `dmesg`.'],
]

/** What the failure of a `btrfs` command means. */
export function explainBtrfs(error: CommandError, doing: string): ProvisionError {
  const [, code, hint] = KNOWN.find(([text]) => text.test(error.stderr)) ?? []
  return new ProvisionError(code ?? 'FAILED', `${doing} failed: ${error.message}`, {
    cause: error,
    ...(hint && { hint }),
  })
}
