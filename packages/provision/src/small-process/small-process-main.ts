import { execute, type ProgramOrder } from './execute.ts'
import { launch, openGate } from './launch.ts'
import { type Answer, ARE_YOU_THERE, I_AM, type Order } from './protocol.ts'

const running = new Map<number, { program: ProgramOrder; stopping: AbortController }>()

// The server's own end is the only one that counts: a Ctrl-C in its terminal comes to all that it has started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
// What it was asked to run comes to its own end first, as it would as the child of a server that was killed; but for what only looks or
// waits, and would keep a pool in use that somebody else is about to unmount.
process.on('disconnect', () => {
  for (const { program, stopping } of running.values()) if (program.onlyLooks) stopping.abort()
  exitWhenDone()
})
process.on('message', (order: Order | typeof ARE_YOU_THERE) => {
  if (order === ARE_YOU_THERE) say(I_AM)
  else if ('launch' in order) launch(order.id, order.launch, say)
  else if ('openGate' in order) openGate(order.id, order.openGate)
  else if ('run' in order) void run(order.id, order.run)
  else running.get(order.id)?.stopping.abort()
})
say(I_AM)

async function run(id: number, program: ProgramOrder): Promise<void> {
  const stopping = new AbortController()
  running.set(id, { program, stopping })
  const outcome = await execute(program, stopping.signal, { endsWithUs: false })
  running.delete(id)
  say({ id, ...outcome })
  if (!process.connected) exitWhenDone()
}

function say(answer: Answer | typeof I_AM): void {
  // Nobody may be left to hear it, though that is not known here yet.
  if (process.connected) process.send?.(answer, undefined, undefined, () => {})
}

function exitWhenDone(): void {
  if (running.size === 0) process.exit()
}
