import type { RetrievalProgress, RetrievalStep } from '@dblab/models'
import type { AdoptSpec, ForeignOrigin, Instance, Places, SnapshotRef } from '@dblab/provision'

/** What a source tells while it works, and by what it is stopped. */
export interface Reporter {
  readonly signal: AbortSignal
  progress(progress: { step: RetrievalStep } & Partial<Omit<RetrievalProgress, 'step'>>): void
  /** For people: what was done, or what they should know. Never holds a value of the data, nor a secret. */
  info(message: string): void
  warn(message: string): void
}

/** A new generation while it is filled, which nobody but the lab reaches. */
export interface Staging {
  /** Runs, and is empty at first; several sources may fill it one after the other. */
  instance: Instance
  /** The base's volume: what lies in it beside the cluster is to be gone when the source is done. */
  volumePath: string
  /** The server is npm's, which the system's packages don't extend. */
  embedded: boolean
}

/** Where data comes from. */
export interface Source {
  /** As the configuration calls it. */
  readonly kind: string
  /** Where it is, without secrets. */
  readonly description: string
  /**
   * Looks at the source before anything is made: what can be known to fail is refused here.
   *
   * @throws ProvisionError with what to do
   */
  check(reporter: Reporter): Promise<CheckedSource>
}

/** What every source that can work says of itself, as far as is known. */
interface Checked {
  /** True for the sample, which gives way to any other data. */
  sample: boolean
  /** Says where the data is from, on its snapshot. Members read it, whom the hosts' directories do not concern. */
  message: string
  /** Bytes that the pool must have free for it; 0 where nobody knows. */
  neededBytes: number
  /** What of its settings decides plans, as the server itself says. Left out where none was asked: the files of a cluster may tell then. */
  planSettings?: Readonly<Record<string, string>>
}

/** One that fills a new cluster of the lab's own. Several can, one after the other. */
export interface CheckedRows extends Checked {
  brings: 'rows'
  /** That it fills, the main one first. */
  databases: readonly [string, ...string[]]
  /** Roles that may come over TCP, from this host, while it is filled. */
  loginRoles: readonly string[]
  /** Fills a running cluster; answers with the time at which the data was true. */
  fill(staging: Staging, reporter: Reporter): Promise<Date>
}

/** One that brings a whole cluster, file by file. */
export interface CheckedCluster extends Checked {
  brings: 'cluster'
  /** The main one; undefined for the first there is. */
  database: string | undefined
  recovery?: AdoptSpec['recovery']
  /** What the source is set to, where its files may not say so: of it is kept what decides what a statement means. */
  settingsOfSource?: AdoptSpec['settingsOfSource']
  /** The pool has it already: its volume begins with that, and there is nothing to copy. */
  foreign?: ForeignOrigin
  /** When the files were as they are. Without it, the data is as old as its last commit, or its last checkpoint. */
  takenAt?: Date
  /** Older states of it, the oldest first: each becomes a generation of its own, before this one, unless it is one. */
  before?: readonly CheckedCluster[]
  /** Text that was sorted by another version of a locale than this machine has is no reason to refuse. */
  anyLocale: boolean
  /** Puts the cluster's files where the places say, as the account that runs Postgres. */
  copy(places: Places, reporter: Reporter): Promise<void>
  /** Removes what the recovery had need of, such as a file with secrets. Once nothing of it runs, whatever came of it. */
  release?(): Promise<void>
}

/** One that is followed by a standby in the lab, of which a generation is a snapshot. */
export interface CheckedStandby extends Checked, Pick<CheckedCluster, 'database' | 'anyLocale'> {
  brings: 'standby'
  /** A state of the standby, which goes on following. */
  snapshot(reporter: Reporter): Promise<StandbySnapshot>
  /** To be called once what was made of it is there, or failed. */
  release(ref: SnapshotRef): void
}

/** A state of a standby, which nobody but the lab is to clone. */
export interface StandbySnapshot {
  ref: SnapshotRef
  /** When the standby was last known to have all that its source had; the data is no older. */
  caughtUpAt: Date | undefined
}

export type CheckedSource = CheckedRows | CheckedCluster | CheckedStandby
