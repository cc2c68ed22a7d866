// What both entries have in common.
export type { Audit, AuditFilter } from './audit.ts'
export type { CallArguments, CallOptions, ClientOptions } from './client.ts'
export { CloneHandle } from './clone-handle.ts'
export type { CreateCloneInput, Lifetime, TokenLifetime, UpdateCloneInput } from './clone-input.ts'
export type { CloneFilter, Clones, CreateCloneOptions } from './clones.ts'
export {
  CloneFailedError,
  isLabApiError,
  LabApiError,
  LabConnectionError,
  LabTimeoutError,
  RefreshFailedError,
} from './errors.ts'
export type { EventFilter, EventOptions, LabEvents } from './events.ts'
export { type FetchTransportOptions, fetchTransport } from './fetch.ts'
export { Lab } from './lab.ts'
export type { Answer, Input, OperationName } from './operation.ts'
export type { Retrieval } from './retrieval.ts'
export type {
  AuditEntry,
  Clone,
  CloneDatabase,
  CloneProfile,
  CloneStatus,
  CloneStatusCode,
  CloneStepName,
  CloneStepTime,
  CreateCloneDatabase,
  CreateCloneRequest,
  CreatedToken,
  CreateSnapshotRequest,
  CreateTokenRequest,
  Disk,
  Error as LabErrorBody,
  ErrorCode,
  Health,
  Instance,
  InstanceStatus,
  InstanceStatusCode,
  LabEvent,
  LabEventAction,
  LabEventType,
  PassedOverDriver,
  Pool,
  paths,
  ResetCloneRequest,
  Retrieval as RetrievalView,
  RetrievalFailure,
  RetrievalLogEntry,
  RetrievalOutcome,
  RetrievalProgress,
  RetrievalRun,
  RetrievalSource,
  RetrievalStandby,
  RetrievalStatus,
  RetrievalStatusCode,
  RetrievalStep,
  RetrievalTrigger,
  Role,
  Snapshot,
  StandbyStatus,
  StandbyStatusCode,
  Token,
  TokenStatusCode,
  UpdateCloneRequest,
  UpdateSnapshotRequest,
  Warning,
  WarningCode,
} from './schema.gen.ts'
export { errorCodeValues as errorCodes } from './schema.gen.ts'
export type { Snapshots } from './snapshots.ts'
export type { CreateTokenInput, Tokens } from './tokens.ts'
export type { Transport, TransportRequest, TransportResponse, TransportStream } from './transport.ts'
