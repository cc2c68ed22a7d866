import { ProvisionError, type ProvisionErrorCode, systemCode } from '../errors.ts'
import { CommandError } from '../exec.ts'

interface Explanation {
  code: ProvisionErrorCode
  hint?: string
}

const SYSTEM_ERRORS: Record<string, Explanation> = {
  ENOSPC: { code: 'NO_SPACE', hint: 'Delete clones or snapshots that nobody uses, or make the pool larger.' },
  EDQUOT: {
    code: 'NO_SPACE',
    hint: "Raise the quota of the account or the directory that the pool's files belong to.",
  },
  EROFS: {
    code: 'UNAVAILABLE',
    hint: "The file system is read-only: the kernel's log (dmesg) tells whether it failed.",
  },
  EACCES: { code: 'UNAVAILABLE', hint: 'Run the server as the account that owns the pool, or as root.' },
  EPERM: { code: 'UNAVAILABLE', hint: 'Run the server as the account that owns the pool, or as root.' },
  EBUSY: { code: 'IN_USE', hint: 'Something has it open or mounted.' },
  EIO: { code: 'FAILED', hint: "The device below the pool fails: look into the kernel's log (dmesg)." },
}

/**
 * Does the work of one call to a driver, and turns what fails in it into a ProvisionError: system errors by their code, those of
 * programs as `explain` reads them. Anything else is a bug and passes as it is.
 *
 * @param doing what was tried, for the message: 'taking the snapshot a@b'
 */
export async function reporting<T>(
  doing: string,
  work: () => Promise<T>,
  explain?: (error: CommandError, doing: string) => ProvisionError,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof CommandError && explain) throw explain(error, doing)
    if (error instanceof CommandError)
      throw new ProvisionError('FAILED', `${doing} failed: ${error.message}`, { cause: error })
    throw fromSystemError(error, doing)
  }
}

function fromSystemError(error: unknown, doing: string): unknown {
  const code = systemCode(error)
  if (code === undefined || !(error instanceof Error) || !('syscall' in error)) return error
  const { code: known = 'FAILED', hint } = SYSTEM_ERRORS[code] ?? {}
  return new ProvisionError(known, `${doing} failed: ${error.message}`, { cause: error, ...(hint && { hint }) })
}

export function notFound(kind: string, name: string): ProvisionError {
  return new ProvisionError('NOT_FOUND', `there is no ${kind} ${name}`)
}

export function noQuotas(driver: string): ProvisionError {
  return new ProvisionError('UNAVAILABLE', `the driver ${driver} can't bound what is written to a volume here`, {
    hint: 'Leave the quota out.',
  })
}

export function noForeignTrees(driver: string): ProvisionError {
  return new ProvisionError('UNAVAILABLE', `the driver ${driver} can't begin a volume with a tree of others here`, {
    hint: 'ZFS can, and btrfs where the server is root. Have it copied, as a data directory.',
  })
}

export function alreadyExists(kind: string, name: string): ProvisionError {
  return new ProvisionError('ALREADY_EXISTS', `a ${kind} named ${name} is already there`)
}

export function inUse(what: string, users: readonly string[], cause?: unknown): ProvisionError {
  const hint = `Destroy ${users.length === 1 ? 'that' : 'those'} first.`
  return new ProvisionError('IN_USE', `${what} is in use by ${users.join(', ')}`, { users, hint, cause })
}
