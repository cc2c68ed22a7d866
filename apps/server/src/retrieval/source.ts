import type { RetrievalProgress, RetrievalStep } from '@dblab/models'
import type { Instance } from '@dblab/provision'

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

/** A source that can work, as far as is known. */
export interface CheckedSource {
  /** That it fills, the main one first. */
  databases: readonly [string, ...string[]]
  /** True for the sample, which gives way to any other data. */
  sample: boolean
  /** Says where the data is from, on its snapshot. Members read it, whom the hosts' directories do not concern. */
  message: string
  /** Bytes that the pool must have free for it; 0 where nobody knows. */
  neededBytes: number
  /** Roles that may come over TCP, from this host, while it is filled. */
  loginRoles: readonly string[]
  /** Fills a running cluster; answers with the time at which the data was true. */
  fill(staging: Staging, reporter: Reporter): Promise<Date>
}
