export { callerAccount, canPass, findAccount } from './account.ts'
export { type ActivitySample, sampleActivity, wasUsed } from './activity.ts'
export { answers } from './answers.ts'
export { type BaseOptions, createImportRole, dropImportRole, prepareBase } from './base.ts'
export {
  type ClientTool,
  type ClientTools,
  chooseBinaries,
  type FoundBinaries,
  findAllClientTools,
  findBinaries,
  findClientTools,
  type PostgresBinaries,
  SUPPORTED_MAJORS,
} from './binaries.ts'
export { type BinarySource, type BinarySourceOptions, binarySource } from './binary-source.ts'
export { clusterControl, clusterMajor, clusterState, isShutDownCleanly } from './cluster.ts'
export { type LabAddress, type LabConnectionOptions, sqlState, withLabConnection } from './connect.ts'
export type { ClusterState, ControlData, SourceSettings } from './control-file.ts'
export { disarmOrdinaryRoles } from './disarm.ts'
export {
  assertUserName,
  EXTENSION_ROLE,
  FIRST_OWN_OID,
  IMPORT_ROLE,
  LAB_DATABASE,
  LAB_ROLE,
  OWNER_ROLE,
} from './names.ts'
export { PLAN_SETTINGS } from './plan-settings.ts'
export type { PrimaryConnection, SslMode } from './primary.ts'
export { checkSettings } from './process/arguments.ts'
export { Cgroups, type Controller } from './process/cgroup.ts'
export { lastWords } from './process/failure.ts'
export { ProcessRuntime, type ProcessRuntimeOptions } from './process/process-runtime.ts'
export {
  identifyProcess,
  isRunning,
  openProcessTable,
  type ProcessIdentity,
  signalProcess,
} from './process/processes.ts'
export { labSettings, PROFILES, type Profile, profileSettings } from './profiles.ts'
export { type LoginTarget, probeLogin } from './ready.ts'
export { setUpUser, type UserSpec } from './roles.ts'
export type {
  Account,
  Certificate,
  Instance,
  InstanceId,
  InstanceLimits,
  InstanceSpec,
  PostgresRuntime,
  RecoveryProgress,
  SingleUserSpec,
  StartOptions,
} from './runtime.ts'
export { isScramVerifier, provesPassword, scramVerifier } from './scram.ts'
