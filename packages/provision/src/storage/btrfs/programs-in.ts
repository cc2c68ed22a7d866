import { readdir, readFile, readlink } from 'node:fs/promises'
import { mapBounded } from '../../bounded.ts'
import { isSystemError } from '../../errors.ts'
import { allPids } from '../../pids.ts'

/** A process as one reads of it. */
export interface Program {
  pid: number
  command: string
}

/** What has a file open at or below this path, or works there, as far as we may look (proc_pid_fd(5), proc_pid_cwd(5)). */
export async function programsIn(path: string): Promise<Program[]> {
  const programs = await mapBounded(await allPids(), async (pid): Promise<Program | undefined> => {
    if (!(await usesAnyOf(pid, path))) return undefined
    const command = await orGone(readFile(`/proc/${pid}/comm`, 'utf8'))
    return command === undefined ? undefined : { pid, command: command.trim() }
  })
  return programs.filter((program) => program !== undefined)
}

async function usesAnyOf(pid: number, path: string): Promise<boolean> {
  const open = (await orGone(readdir(`/proc/${pid}/fd`))) ?? []
  const links = ['cwd', 'root', ...open.map((name) => `fd/${name}`)]
  const used = await Promise.all(links.map((link) => orGone(readlink(`/proc/${pid}/${link}`))))
  return used.some((file) => file === path || file?.startsWith(`${path}/`))
}

/** Undefined too for one that is hidden from us. */
async function orGone<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH', 'ENOTDIR', 'EACCES', 'EPERM')) return undefined
    throw error
  }
}
