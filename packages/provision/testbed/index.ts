export { REPOSITORY, runInside } from './inner-run.ts'
export {
  appears,
  command,
  hasProgram,
  isLong,
  isRoot,
  isSlow,
  type MountedDisk,
  type MountedImage,
  mountedDisk,
  mountedImage,
  tooLong,
} from './machine.ts'
export { npmBinaries } from './npm-binaries.ts'
export { pagilaFile, pagilaMissing } from './pagila.ts'
export { freePort, freePortRange, type PortRange } from './ports.ts'
export { describeDriver } from './requirements.ts'
export { type Ballast, ballastIn, type SmallZpool, smallZpool } from './small-pool.ts'
export { testOnZfs } from './zfs.ts'
export { type TestPool, testPool } from './zfs-pool.ts'
export { zfsIsHere } from './zfs-runner.ts'
