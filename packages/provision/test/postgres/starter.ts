import { binarySource, callerAccount, findAccount, ProcessRuntime } from '../../src/postgres/index.ts'

// Starts an instance, says so, and waits to be killed: run by a test as a process of its own.
const [stateDir, copiesDir, spec] = process.argv.slice(2)
if (stateDir === undefined || copiesDir === undefined || spec === undefined)
  throw new Error('three arguments are needed')
const account = await findAccount()
const runtime = new ProcessRuntime({
  account,
  binaries: binarySource({ account, copiesDir }),
  stateDir,
  labUser: callerAccount().name,
})
const instance = await runtime.start(JSON.parse(spec))
process.stdout.write(`${instance.pid}\n`)
setInterval(() => undefined, 1000)
