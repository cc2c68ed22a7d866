export type { BaseSpec, ClusterFacts, ScratchSpec } from './bases.ts'
export { isProvisionError, isSystemError, ProvisionError, type ProvisionErrorCode } from './errors.ts'
export { CommandError, type RunOptions, type RunResult, run, searchPath } from './exec.ts'
export { makeDirectory, writeFileAtomically } from './files.ts'
export { PortPool, type PortPoolOptions } from './ports.ts'
export * from './postgres/index.ts'
export * from './provisioner.ts'
export * from './storage/driver.ts'
export {
  type DriverName,
  type OpenedStorage,
  openStorage,
  type StorageChoice,
  type StorageConfig,
} from './storage/open.ts'
