import { binarySource, callerAccount, findAccount, ProcessRuntime } from '../../src/postgres/index.ts'

// Makes a cluster, and is killed meanwhile: run by a test as a process of its own.
const [stateDir, copiesDir, dataDir] = process.argv.slice(2)
if (stateDir === undefined || copiesDir === undefined || dataDir === undefined)
  throw new Error('three arguments are needed')
const account = await findAccount()
const binaries = binarySource({ account, copiesDir })
await new ProcessRuntime({ account, binaries, stateDir, labUser: callerAccount().name }).initialise(dataDir)
