import { realpath, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { isSystemError, ProvisionError } from '../errors.ts'
import { CommandError, run } from '../exec.ts'
import type { Account } from './runtime.ts'

/** Accounts that root tries, in this order, when none is configured. */
const USUAL_ACCOUNTS = ['dblab', 'postgres', 'nobody'] as const

/**
 * The account that runs Postgres: for root the configured one, else the settled one, else the first of the usual ones that this machine
 * has; for anybody else the caller's own. Never root, under which Postgres refuses to run.
 *
 * @param settled the one that data belongs to which is there already
 * @throws ProvisionError UNAVAILABLE when there is no such account, INVALID for one that can't be used
 */
export async function findAccount(configured?: string, settled?: string): Promise<Account> {
  const own = callerAccount()
  if (own.uid !== 0) {
    if (configured !== undefined && configured !== own.name) {
      throw new ProvisionError('INVALID', `only root can run Postgres as ${configured}`, {
        hint: `Start the server as root, or as ${configured}, or leave the account out.`,
      })
    }
    return own
  }
  const named = configured ?? settled
  const candidates = named === undefined ? USUAL_ACCOUNTS : [named]
  for (const name of candidates) {
    const account = await lookUpAccount(name)
    if (account === undefined) continue
    if (account.uid !== 0) return account
    if (named !== undefined) {
      throw new ProvisionError('INVALID', `Postgres does not run as ${name}, which is root`, {
        hint: 'Configure an ordinary account, such as one made with: useradd --system dblab',
      })
    }
  }
  throw new ProvisionError('UNAVAILABLE', `there is no account ${candidates.join(', ')} to run Postgres as`, {
    hint: `Make one with: useradd --system ${candidates[0]}`,
  })
}

/** The account of this very process: the one that the lab's own connections are known by. */
export function callerAccount(): Account {
  try {
    const { username, uid, gid } = userInfo()
    return { name: username, uid, gid }
  } catch (error) {
    // libuv reports a uid without a passwd entry as ENOENT. initdb and peer authentication both need the entry.
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_SYSTEM_ERROR')) throw error
    throw new ProvisionError('UNAVAILABLE', `uid ${process.getuid?.()} has no entry in the passwd database`, {
      cause: error,
      hint: 'Add one to /etc/passwd, or start the server as an account that has one.',
    })
  }
}

/** By way of `id`, which asks the name services too (LDAP, SSSD), and which Linux and macOS both have. */
async function lookUpAccount(name: string): Promise<Account | undefined> {
  if (!/^[A-Za-z_][A-Za-z0-9_.-]*\$?$/.test(name)) {
    throw new ProvisionError('INVALID', 'the name of the Postgres account is not an account name')
  }
  try {
    const [uid, gid] = await Promise.all([run(['id', '-u', name]), run(['id', '-g', name])])
    return { name, uid: Number(uid.stdout), gid: Number(gid.stdout) }
  } catch (error) {
    if (error instanceof CommandError) return undefined
    throw error
  }
}

/**
 * Whether the account can enter every directory above `path`, and then enter the directory, run the program or read the file that is
 * there. Judged from owners and modes alone: the account is taken to have no group but its own, and access lists are not looked at.
 * False for a path that does not exist.
 */
export async function canPass(account: Account, path: string): Promise<boolean> {
  try {
    // Both ways must be open: the one that is written, and the one that its symbolic links lead to.
    const real = await realpath(path)
    for (const way of new Set([path, real])) {
      for (const directory of directoriesAbove(way)) {
        if (!(await permits(account, directory))) return false
      }
    }
    return await permits(account, real)
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return false
    throw error
  }
}

function directoriesAbove(path: string): string[] {
  const above: string[] = []
  for (let at = dirname(path); ; at = dirname(at)) {
    above.push(at)
    if (at === dirname(at)) return above
  }
}

const READ = 0o4
const ENTER_OR_RUN = 0o1

async function permits(account: Account, path: string): Promise<boolean> {
  const found = await stat(path)
  const { mode, uid, gid } = found
  const program = (mode & 0o111) === 0 ? READ : READ | ENTER_OR_RUN
  const needed = found.isDirectory() ? ENTER_OR_RUN : program
  const granted = uid === account.uid ? mode >> 6 : gid === account.gid ? mode >> 3 : mode
  return account.uid === 0 || (granted & needed) === needed
}
