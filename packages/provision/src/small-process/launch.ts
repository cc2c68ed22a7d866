import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { Writable } from 'node:stream'
import type { Answer, LaunchOrder } from './protocol.ts'

/** Waits for a word, then becomes the program that its arguments name: the same process, and not before. Without the word it ends. */
const GATE = 'read -r word <&3 && exec "$@" 3<&-'

const gates = new Map<number, Writable>()

/** Starts a server, in a session of its own. */
export function launch(id: number, order: LaunchOrder, say: (answer: Answer) => void): void {
  const { file, args, dataDir, logFile, account, gated } = order
  const fail = (error: unknown) => {
    const { message = String(error), code, errno, syscall } = error as NodeJS.ErrnoException
    say({ id, failed: { message, code, errno, syscall } })
  }
  try {
    // Appending, so that cutting the file short does not leave a hole before the next line.
    const log = openSync(logFile, 'a', 0o640)
    try {
      const [program, ...given] = gated ? ['/bin/sh', '-c', GATE, 'sh', file, ...args] : [file, ...args]
      const child = spawn(program, given, {
        cwd: dataDir,
        detached: true,
        stdio: ['ignore', log, log, ...(gated ? (['pipe'] as const) : [])],
        env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' },
        ...(account && { uid: account.uid, gid: account.gid }),
      })
      const gate = child.stdio[3]
      if (gate instanceof Writable) {
        // A shell that was killed at the gate: its end is seen by whoever waits for the server.
        gate.on('error', () => {})
        gates.set(id, gate)
      }
      child.once('spawn', () => say({ id, pid: child.pid ?? 0 }))
      child.once('error', fail)
      child.once('exit', () => {
        gates.delete(id)
        say({ id, exited: true })
      })
    } finally {
      closeSync(log)
    }
  } catch (error) {
    fail(error)
  }
}

export function openGate(id: number, open: boolean): void {
  const gate = gates.get(id)
  gates.delete(id)
  if (open) gate?.end('go\n')
  else gate?.destroy()
}
