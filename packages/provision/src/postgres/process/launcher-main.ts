import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { Writable } from 'node:stream'
import type { LauncherAnswer, LauncherOrder, LaunchOrder } from './launcher.ts'

/** Waits for a word, then becomes the program that its arguments name: the same process, and not before. Without the word it ends. */
const GATE = 'read -r word <&3 && exec "$@" 3<&-'

const gates = new Map<number, Writable>()

// The server's own end is the only one that counts: a Ctrl-C in its terminal comes to all that it has started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
process.on('disconnect', () => process.exit())
process.on('message', (order: LauncherOrder) => {
  if ('openGate' in order) open(order)
  else launch(order)
})

function launch(order: LaunchOrder): void {
  const { id, file, args, dataDir, logFile, account, gated } = order
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
      child.once('spawn', () => answer({ id, pid: child.pid ?? 0 }))
      child.once('error', (error) => fail(id, error))
      child.once('exit', () => {
        gates.delete(id)
        answer({ id, exited: true })
      })
    } finally {
      closeSync(log)
    }
  } catch (error) {
    fail(id, error)
  }
}

function open({ id, openGate }: { id: number; openGate: boolean }): void {
  const gate = gates.get(id)
  gates.delete(id)
  if (openGate) gate?.end('go\n')
  else gate?.destroy()
}

function fail(id: number, error: unknown): void {
  const { message = String(error), code, errno, syscall } = error as NodeJS.ErrnoException
  answer({ id, failed: { message, code, errno, syscall } })
}

function answer(what: LauncherAnswer): void {
  process.send?.(what)
}
