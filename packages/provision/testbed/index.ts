export { REPOSITORY, runInside } from './inner-run.ts'
export { command, hasProgram, isRoot, type MountedImage, mountedImage } from './machine.ts'
export { describeDriver } from './requirements.ts'
export { type TestPool, testOnZfs, testPool, zfsIsHere } from './zfs.ts'
