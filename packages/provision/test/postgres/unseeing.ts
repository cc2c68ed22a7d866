import { createInterface } from 'node:readline'
import {
  binarySource,
  callerAccount,
  findAccount,
  ProcessRuntime,
  withLabConnection,
} from '../../src/postgres/index.ts'
import { openProcessTable } from '../../src/postgres/process/processes.ts'

// Starts an instance and keeps it busy, looks for abandoned memory, and removes it, a line of input for each: run by a test as a process of
// its own, with less than all that root may do.
const [stateDir, copiesDir, spec] = process.argv.slice(2)
if (stateDir === undefined || copiesDir === undefined || spec === undefined)
  throw new Error('three arguments are needed')
const say = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`)
const input = createInterface(process.stdin)[Symbol.asyncIterator]()
const account = await findAccount()
const binaries = binarySource({ account, copiesDir })
const runtime = new ProcessRuntime({ account, binaries, stateDir, labUser: callerAccount().name })
const instance = await runtime.start(JSON.parse(spec))
const busy = withLabConnection(instance, 'postgres', async (client) => {
  client.on('error', () => {})
  await client.query('DO $$ BEGIN LOOP NULL; END LOOP; END $$')
})
busy.catch(() => {})
say({ pid: instance.pid, seen: (await openProcessTable().sharedMemory(instance.pid ?? 0)) ?? null })
await input.next()
say({ freed: [...(await runtime.freeAbandonedMemory()), ...(await runtime.freeAbandonedMemory())] })
await input.next()
await runtime.remove(instance.id)
say({ removed: true })
