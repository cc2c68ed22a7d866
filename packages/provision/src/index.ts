export type { ClusterFacts } from './base-steps.ts'
export type { BaseSpec, ScratchSpec } from './bases.ts'
export type { CloneOptions, CloneStep, Login } from './clone-starts.ts'
export { dataDirOf } from './cluster-volumes.ts'
export {
  isProvisionError,
  isSystemError,
  ProvisionError,
  type ProvisionErrorCode,
  type ProvisionErrorOptions,
} from './errors.ts'
export { CommandError, type RunOptions, type RunResult, run, searchPath } from './exec.ts'
export {
  armFaults,
  type Fault,
  type FaultAction,
  type FaultPlan,
  failPoint,
  failPointNow,
  parseFaultPlan,
} from './faults/faults.ts'
export { COMMON_POINTS, DRIVER_POINTS, type FailPoint, RARE_POINTS, RETRIEVAL_POINTS } from './faults/points.ts'
export { makeDirectory, syncPath, writeFileAtomically } from './files.ts'
export type { AdoptedFacts, AdoptSpec, AdoptSteps } from './physical/adoption.ts'
export type { SourceKnowledge } from './physical/arrival.ts'
export type { CollationMismatch } from './physical/collations.ts'
export type { KeptSettings } from './physical/kept-settings.ts'
export { copyLocalCluster, examineLocalCluster, type LocalCluster } from './physical/local-cluster.ts'
export type { MovedIn, PreparedTransaction } from './physical/moving-in.ts'
export type { Places } from './physical/places.ts'
export type {
  RecoveryKind,
  RecoveryOutcome,
  RecoverySpec,
  RecoveryTarget,
  RestoreCommand,
} from './physical/recovery.ts'
export type { ForeignOrigin } from './physical/settling.ts'
export type { StandbyOptions, StandbySpec, Standbys } from './physical/standby.ts'
export type { StandbyHealth } from './physical/standby-health.ts'
export { PortPool, type PortPoolOptions } from './ports.ts'
export * from './postgres/index.ts'
export type { PreparedClone } from './prepared-clone.ts'
export * from './provisioner.ts'
export { startSmallProcess } from './small-process/small-process.ts'
export { PortSteering } from './steering/port-steering.ts'
export * from './storage/driver.ts'
export {
  type DriverName,
  type OpenedStorage,
  openStorage,
  type StorageChoice,
  type StorageConfig,
} from './storage/open.ts'
