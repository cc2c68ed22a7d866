import { readdir, readFile, readlink } from 'node:fs/promises'
import { eventually } from './lab.ts'
import { openSession } from './sql.ts'

export interface Postmaster {
  pid: number
  /** Where its cluster lies. */
  dataDir: string
}

/** The server that a clone's user reaches, as the machine knows it: the parent of the process that serves a session. */
export async function postmasterOf(url: string): Promise<Postmaster> {
  const session = await openSession(url)
  try {
    const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    const backend = rows[0]?.pid ?? 0
    const parent = /^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${backend}/status`, 'utf8'))?.[1]
    return { pid: Number(parent), dataDir: await readlink(`/proc/${backend}/cwd`) }
  } finally {
    await session.end()
  }
}

/** Until none of its processes is left: those of a postmaster that was killed may write on for a while. */
export async function untilEnded({ dataDir }: Pick<Postmaster, 'dataDir'>): Promise<void> {
  await eventually(`nothing runs in ${dataDir}`, async () => {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
    const directories = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => undefined)))
    return !directories.includes(dataDir)
  })
}
