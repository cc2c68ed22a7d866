export type { AuditEntry } from './audit.ts'
export type {
  Clone,
  CloneDatabase,
  CloneProfile,
  CloneStatus,
  CloneStatusCode,
  CloneStepName,
  CloneStepTime,
  CreateCloneDatabase,
  CreateCloneRequest,
  ResetCloneRequest,
  UpdateCloneRequest,
} from './clone.ts'
export type { Error, ErrorCode } from './error.ts'
export type { LabEvent, LabEventAction, LabEventType } from './event.ts'
export type {
  Disk,
  Health,
  Instance,
  InstanceStatus,
  InstanceStatusCode,
  PassedOverDriver,
  Pool,
  WarmInstances,
  Warning,
  WarningCode,
} from './instance.ts'
export type {
  Retrieval,
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
  StandbyStatus,
  StandbyStatusCode,
} from './retrieval.ts'
export type { CreateSnapshotRequest, Snapshot, UpdateSnapshotRequest } from './snapshot.ts'
export type { CreatedToken, CreateTokenRequest, Role, Token, TokenStatusCode } from './token.ts'
