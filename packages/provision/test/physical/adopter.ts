import {
  armFaults,
  binarySource,
  callerAccount,
  findAccount,
  openStorage,
  ProcessRuntime,
  Provisioner,
  run,
} from '../../src/index.ts'

// Adopts a copy, and is killed at a point: run by a test as a process of its own.
const [stateDir, copiesDir, root, from, point] = process.argv.slice(2)
if (!stateDir || !copiesDir || !root || !from || !point) throw new Error('five arguments are needed')
const account = await findAccount()
const { driver: storage } = await openStorage({ driver: 'btrfs', labId: 'lab', root, owner: account })
const runtime = new ProcessRuntime({
  account,
  binaries: binarySource({ account, copiesDir }),
  stateDir,
  labUser: callerAccount().name,
})
const provisioner = new Provisioner({ storage, runtime, host: '127.0.0.1', settings: {}, allowSuperusers: false })
armFaults({ faults: [{ point, action: 'kill' }] })
await provisioner.adoptBase(
  { volumeId: 'base' },
  { bring: ({ dataDir }) => run(['cp', '-a', `${from}/.`, dataDir], { account }) },
)
