import { ProvisionError, type ProvisionErrorCode } from '../../errors.ts'
import type { CommandError } from '../../exec.ts'

/** The messages of zfs(8) and zpool(8) under `LC_ALL=C` that mean something to us. The first that fits counts. */
const KNOWN: readonly [text: RegExp, code: ProvisionErrorCode, hint?: string][] = [
  [
    /modules? (cannot be auto-loaded|are not loaded)|\/dev\/zfs and \/proc\/self\/mounts are required/,
    'UNAVAILABLE',
    'Load the module (modprobe zfs), and let the server see /dev/zfs.',
  ],
  [
    /parent does not exist/,
    'UNAVAILABLE',
    'The dataset that the lab keeps everything in is gone: is another pool imported under its name?',
  ],
  [/no such pool/, 'UNAVAILABLE', 'Import the pool (zpool import), or configure a dataset in one that is there.'],
  [/pool I\/O is currently suspended/, 'UNAVAILABLE', 'The pool has lost its devices: see `zpool status`.'],
  [/encryption key not loaded|Key load error/i, 'UNAVAILABLE', 'Load the key first: zfs load-key.'],
  [
    /out of space|No space left on device|quota exceeded/i,
    'NO_SPACE',
    'Delete clones or snapshots that nobody uses, or raise the quota.',
  ],
  [/dataset already exists/, 'ALREADY_EXISTS'],
  [/dataset does not exist|could not find any snapshots to destroy/, 'NOT_FOUND'],
  [/has children|has dependent clones/, 'IN_USE'],
  [/it's being held|is being held|tag\w* exist/, 'IN_USE', 'Somebody holds it: see `zfs holds`.'],
  [
    /(pool or )?dataset is busy|target is busy|Device busy/,
    'IN_USE',
    'Programs have files open there; `fuser -vm` names them.',
  ],
  [
    /permission denied|may only be mounted by root|Operation not permitted/i,
    'UNAVAILABLE',
    'Run the server as root: on Linux only root can mount, whatever `zfs allow` grants.',
  ],
  [/Read-only file system|pool is read-only|read only/i, 'UNAVAILABLE', 'The pool was imported read-only.'],
]

/** What the failure of a `zfs` or `zpool` command means. */
export function explainZfs(error: CommandError, doing: string): ProvisionError {
  const [, code, hint] = KNOWN.find(([text]) => text.test(error.stderr)) ?? []
  return new ProvisionError(code ?? 'FAILED', `${doing} failed: ${firstLine(error)}`, {
    cause: error,
    ...(hint && { hint }),
  })
}

export function codeOf(error: CommandError): ProvisionErrorCode {
  return explainZfs(error, '').code
}

/** Clears up by itself, soon: an unmount waits for what a process that has just ended still has open. */
export function isBusy(error: CommandError): boolean {
  return /(pool or )?dataset is busy|target is busy|Device busy/.test(error.stderr)
}

/** zfs tells what is wrong first, and then how to get around it. */
function firstLine(error: CommandError): string {
  return error.stderr.trim().split('\n')[0] || error.message
}
