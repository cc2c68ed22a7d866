export type RetrievalStatusCode = 'OK' | 'RUNNING' | 'FAILED' | 'NOT_CONFIGURED'

export interface RetrievalStatus {
  /**
   * OK: the last run succeeded, or none was needed yet. RUNNING: data is being brought in. FAILED: the last run did not succeed, the data from
   * before stays current; the message says why. NOT_CONFIGURED: the lab has no source.
   */
  code: RetrievalStatusCode
  message: string
}

export type RetrievalOutcome = 'RUNNING' | 'DONE' | 'FAILED' | 'CANCELLED'

/** START: the lab had no data. SCHEDULE: it was time. REQUEST: somebody asked for it. */
export type RetrievalTrigger = 'START' | 'SCHEDULE' | 'REQUEST'

/**
 * What a run is at. CHECK: looks whether it can work. DUMP: reads a live source. RESTORE: fills the new generation. COPY: copies files.
 * RECOVER: replays a log. MASK: removes what nobody may see. FINISH: makes it ready for clones. PUBLISH: takes its snapshot. WAIT: an attempt
 * failed, the next begins soon.
 */
export type RetrievalStep = 'CHECK' | 'DUMP' | 'RESTORE' | 'COPY' | 'RECOVER' | 'MASK' | 'FINISH' | 'PUBLISH' | 'WAIT'

/** How far a step is. What is not known is 0. */
export interface RetrievalProgress {
  step: RetrievalStep
  tablesDone: number
  tablesTotal: number
  bytesDone: number
  bytesTotal: number
  /** Over the last seconds. */
  bytesPerSecond: number
  /** Until the step ends, as far as the rate lets one guess; 0 where it doesn't. */
  secondsLeft: number
}

export interface RetrievalLogEntry {
  /** ISO 8601 in UTC. */
  at: string
  level: 'info' | 'warn' | 'error'
  message: string
}

/** Why a run failed. */
export interface RetrievalFailure {
  /** For programs, such as NO_SPACE. */
  code: string
  message: string
  /** What to do about it; may be empty. */
  hint: string
}

/** One time that data was brought in, or tried to be. */
export interface RetrievalRun {
  id: string
  trigger: RetrievalTrigger
  outcome: RetrievalOutcome
  /** Where the data comes from. */
  source: string
  /** 1 for the first; a broken connection lets it begin again. */
  attempt: number
  /** ISO 8601 in UTC. */
  startedAt: string
  /** Empty while it runs. */
  endedAt: string
  /** Where it is, or where it ended. */
  progress: RetrievalProgress
  /** The snapshot that came of it; empty for none. */
  snapshot: string
  /** Of the last attempt that failed. */
  error?: RetrievalFailure
  /** The newest entries, oldest first. */
  log: RetrievalLogEntry[]
}

/** A configured place that data comes from. */
export interface RetrievalSource {
  /** logical, file, … */
  kind: string
  /** Where it is, without secrets. */
  description: string
}

export type StandbyStatusCode = 'FOLLOWING' | 'BROKEN'

export interface StandbyStatus {
  /** FOLLOWING: it receives what its source writes. BROKEN: it does not; the message says why. */
  code: StandbyStatusCode
  message: string
}

/** A copy of a source in the lab, which follows it and which generations are taken of. */
export interface RetrievalStandby {
  status: StandbyStatus
  /** 0 while it has all that its source has told of. */
  lagSeconds: number
  /** Bytes of its source's log. */
  lagBytes: number
  /** How far it is in its source's log. */
  replayedLsn: string
  /** When it was last known to have all that its source had, by the source's clock, ISO 8601 in UTC; empty where that is not known. */
  caughtUpAt: string
  /** When it was last looked at, ISO 8601 in UTC; empty before the first time. */
  updatedAt: string
}

/** How data comes into the lab. */
export interface Retrieval {
  status: RetrievalStatus
  /** All that one generation is made of. */
  sources: RetrievalSource[]
  /** The cron expression; empty for none. */
  schedule: string
  /** That the expression is read in. */
  timeZone: string
  /** When the next run is due, ISO 8601 in UTC; empty where nothing is scheduled. */
  nextRunAt: string
  /** When the newest data of the lab's own was true, ISO 8601 in UTC; empty where there is none. */
  dataStateAt: string
  /** Where a source is followed. */
  standby?: RetrievalStandby
  /** The run under way. */
  current?: RetrievalRun
  /** The last runs that ended, newest first. */
  runs: RetrievalRun[]
}
