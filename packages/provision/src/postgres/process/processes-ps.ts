import { CommandError, run } from '../../exec.ts'
import { type PostgresProcess, type ProcessIdentity, type ProcessTable, SINGLE_USER } from './processes.ts'

interface Row extends ProcessIdentity {
  parent: number
  state: string
  command: string
}

/**
 * Asks `ps`, where there is no /proc (macOS). A working directory can't be seen there, so a server is known by the `-D` of its command
 * line, and its children by their parent.
 */
export class PsProcesses implements ProcessTable {
  async identify(pid: number): Promise<ProcessIdentity | undefined> {
    const [row] = await list(['-p', String(pid)])
    return row && { pid: row.pid, startedAt: row.startedAt }
  }

  async inDirectory(dataDir: string): Promise<PostgresProcess[]> {
    const rows = await list(['-ax'])
    const servers = new Set(
      rows.filter(({ command }) => `${command} `.includes(`postgres -D ${dataDir} `)).map(({ pid }) => pid),
    )
    return rows
      .filter(({ pid, parent }) => servers.has(pid) || servers.has(parent))
      .map(({ pid, parent, startedAt, command }) => ({
        ...{ pid, parent, startedAt },
        isServer: servers.has(pid),
        title: command,
      }))
  }

  async makersIn(dataDir: string): Promise<ProcessIdentity[]> {
    const program = new RegExp(`(^|/)(initdb|postgres (${SINGLE_USER.join('|')}))( |$)`)
    const rows = await list(['-ax'])
    return rows.filter(({ command }) => program.test(command) && `${command} `.includes(` -D ${dataDir} `))
  }

  async childrenOf(server: number): Promise<PostgresProcess[]> {
    const rows = (await list(['-ax'])).filter(({ parent }) => parent === server)
    return rows.map(({ pid, parent, startedAt, command }) => ({
      pid,
      parent,
      startedAt,
      isServer: false,
      title: command,
    }))
  }

  async startedBy(server: number): Promise<ProcessIdentity[]> {
    return this.childrenOf(server)
  }

  async sharedMemory(): Promise<undefined> {
    return undefined
  }

  async mayBelongTo(): Promise<boolean> {
    return true
  }

  async hasHalted({ pid, startedAt }: ProcessIdentity): Promise<boolean> {
    const [row] = await list(['-p', String(pid)])
    return row?.startedAt !== startedAt || row.state.startsWith('T')
  }
}

async function list(which: readonly string[]): Promise<Row[]> {
  try {
    const { stdout } = await run(['ps', ...which, '-ww', '-o', 'pid=,ppid=,stat=,lstart=,command='])
    return stdout.split('\n').flatMap((line) => parseRow(line) ?? [])
  } catch (error) {
    // Its way of saying that there is no such process.
    if (error instanceof CommandError && error.exitCode === 1 && error.stderr === '') return []
    throw error
  }
}

/** `  812     1 Ss   Sat Nov 22 14:52:07 2025 /usr/lib/postgresql/15/bin/postgres -D /data` */
export function parseRow(line: string): Row | undefined {
  const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\w+\s+\w+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/.exec(line)
  if (match === null) return undefined
  const [, pid, parent, state, startedAt, command] = match
  if (state === undefined || state.startsWith('Z') || startedAt === undefined || command === undefined) return undefined
  return { pid: Number(pid), parent: Number(parent), state, startedAt, command }
}
