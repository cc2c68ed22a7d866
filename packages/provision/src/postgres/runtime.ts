import type { Client } from 'pg'
import type { PrimaryConnection } from './primary.ts'

/** An instance is known by the id of the volume that holds its data. */
export type InstanceId = string

/** An account of the operating system. */
export interface Account {
  name: string
  uid: number
  gid: number
}

/** PEM files: the certificate with its chain after it, and its private key without a passphrase. */
export interface Certificate {
  certFile: string
  keyFile: string
}

/** What an instance, with all its processes, may take of its machine; what is left out is not bounded. */
export interface InstanceLimits {
  memoryMaxBytes?: number | undefined
  /** Processors' worth of time; may be a fraction. */
  cpus?: number | undefined
}

export interface InstanceSpec {
  id: InstanceId
  /** The data directory, absolute, owned by the runtime's account. */
  dataDir: string
  /** Where it listens besides its own socket directory: an address, or several. */
  host: string
  port: number
  /** Roles that may log in over TCP, with SCRAM. Nobody else can; the lab alone comes over the socket. */
  users: readonly string[]
  /** Whoever is a member of this role may log in over TCP as well. */
  usersRole?: string | undefined
  /** Given on the command line, over whatever the data directory's own files say. The runtime's own settings win over these. */
  settings: Readonly<Record<string, string>>
  /** For connections over TCP: those without TLS are refused then. Copied as it is at the start; see `renewCertificates`. */
  tls?: Certificate | undefined
  /**
   * Where the lab's first connection goes: name the main database, since the first session in a database builds the cache that the
   * later ones find. It need not exist. `postgres` if left out.
   */
  database?: string | undefined
  /** Kept where the runtime can bound its instances; elsewhere, nothing is bounded. */
  limits?: InstanceLimits | undefined
  /** The role that the lab comes over the socket as, in data that has no role of the lab's and can't be given one. */
  superuser?: string | undefined
  /** For a standby: the server that it follows. Its password is kept in a file of its own, which nobody else reads, while it runs. */
  primary?: PrimaryConnection | undefined
  /** Nobody is let in, the lab neither: for data that is only to recover. It is up when it has. */
  closed?: boolean | undefined
}

export interface StartOptions {
  signal?: AbortSignal | undefined
  /** 60 seconds if left out. Whoever starts what must be recovered first gives it longer. */
  timeoutMs?: number | undefined
  /**
   * In place of a time for the whole start: how long it may go without a sign that it gets on, which is a step in its log or another file
   * of WAL. For data that may have hours of WAL to replay.
   */
  stallMs?: number | undefined
  onProgress?: ((progress: RecoveryProgress) => void) | undefined
  /** What the lab's first session does, in `InstanceSpec.database`: another one would cost a process more. The start fails with it. */
  firstSession?: ((client: Client) => Promise<void>) | undefined
}

/** How far a server that recovers has come, as far as it tells. */
export interface RecoveryProgress {
  /** The file of WAL that it is at. */
  walFile?: string | undefined
  /** Since PostgreSQL 15, every 10 seconds. */
  lsn?: string | undefined
}

export interface SingleUserSpec {
  database: string
  /** Each without a line break. */
  statements: readonly string[]
  settings: Readonly<Record<string, string>>
}

export interface Instance {
  id: InstanceId
  /** `dead`: known to the runtime, with no process behind it. */
  state: 'running' | 'dead'
  pid: number | undefined
  dataDir: string
  port: number
  /** Directory of its unix socket: `psql -h socketDir -p port -U dblab`. */
  socketDir: string
  logFile: string
}

/**
 * Runs Postgres servers that outlive the caller. An instance is found again by its data directory and its postmaster's pid and start
 * time, never by pid alone. Never runs Postgres as root.
 */
export interface PostgresRuntime {
  readonly name: string
  /** The account that owns the data and runs the servers. */
  readonly account: Account
  /** Throws UNAVAILABLE, saying what is missing and how to get it. */
  check(): Promise<void>
  /**
   * Asks the server of that major (the default one, if left out) whether it knows the settings and takes their values; nothing is started.
   * @throws ProvisionError INVALID with its words; UNAVAILABLE when there is no such server
   */
  checkSettings(settings: Readonly<Record<string, string>>, major?: number): Promise<void>
  /**
   * An empty data directory becomes a cluster whose bootstrap superuser is `dblab`, with the lab's own database in it. The directory
   * exists, is empty, and is the account's.
   */
  initialise(dataDir: string, signal?: AbortSignal): Promise<void>
  /**
   * Makes a data directory that came from elsewhere this lab's to start: the postmaster.pid that it carries goes.
   * @throws ProvisionError ALREADY_EXISTS when a server runs on it; INVALID when it does not belong to the account, or is open to others
   */
  claim(dataDir: string): Promise<void>
  /**
   * Runs statements in a cluster on which no server runs, as its bootstrap superuser, by a server of a single user: nobody can connect to
   * that, it asks no role and no database whether they let it in, takes no settings of theirs, and fires no event triggers. Shut down
   * cleanly when this resolves.
   * @returns what the server wrote
   * @throws ProvisionError FAILED in Postgres' own words at the first statement that fails, NO_SPACE, ABORTED
   */
  runSingleUser(dataDir: string, spec: SingleUserSpec, signal?: AbortSignal): Promise<string>
  /**
   * Resolves once the server takes connections on its socket as the lab's role.
   * @throws ProvisionError IN_USE when the port is taken by somebody else; ALREADY_EXISTS when a server runs on the directory;
   * INVALID for a spec or a directory that can't work; NO_SPACE; FAILED with the last lines of its log; TIMEOUT; ABORTED.
   * Nothing runs after a failure; its log can be read until `remove`.
   */
  start(spec: InstanceSpec, options?: StartOptions): Promise<Instance>
  /**
   * Stopped and gone when this resolves, its shared memory too; absent or dead already is fine. `clean` writes a shutdown checkpoint,
   * `immediate` is for data about to be thrown away.
   * @param cleanMs how long its checkpoint may take; as long as the runtime is set to, if left out
   * @throws ProvisionError FAILED when it was running and `clean` could not be had: it is gone all the same, and must be recovered.
   */
  stop(id: InstanceId, mode: 'clean' | 'immediate', cleanMs?: number): Promise<void>
  /**
   * It answers nobody any more when this resolves: all of it stands still, with its sessions, until `resume`, a stop or `remove`. Nothing where it does
   * not run.
   */
  halt(id: InstanceId): Promise<void>
  /** What stands still goes on. Nothing where it does not run. */
  resume(id: InstanceId): Promise<void>
  /** The processes that its server has started, sessions among them; none where it does not run. */
  workersOf(id: InstanceId): Promise<number[]>
  /** Stopped (immediately), and everything the runtime kept of it (socket directory, log, its record) gone. Never touches the data. */
  remove(id: InstanceId): Promise<void>
  /**
   * Ends what still makes a cluster in this data directory, and frees the memory that it has made: an `initialise` goes on when its caller
   * is killed. Servers, shells and whatever else works there are left alone.
   */
  evict(dataDir: string): Promise<void>
  /**
   * Lets these users in over TCP from now on, and nobody else: every connection that is begun after this has resolved meets that. Sessions
   * that there are go on.
   * @throws ProvisionError NOT_FOUND when it does not run, INVALID for a name that can't be
   */
  admit(id: InstanceId, users: readonly string[]): Promise<void>
  /** One of `list`, or undefined. Reads files and /proc only. */
  inspect(id: InstanceId): Promise<Instance | undefined>
  /**
   * Every instance that was started and not removed, running or dead: what we reconcile from. What was cut off is finished before, a
   * removal or the note of one that runs: to be called by none but who holds the lab.
   */
  list(): Promise<Instance[]>
  /** The last lines of its log, oldest first. */
  logs(id: InstanceId, lines: number): Promise<string[]>
  /**
   * Gives every running instance that has a certificate this one, where it is another. New connections meet it, open ones go on. Copies
   * that no server reads any more are removed; without a certificate, all are. Returns how many took it.
   * @throws ProvisionError INVALID when it can't be read
   */
  renewCertificates(certificate: Certificate | undefined): Promise<number>
  /** Cuts logs that have grown past their bound to their newest part. For the background. */
  trimLogs(): Promise<void>
  /**
   * Frees shared memory of the account that no process uses and no server lists, as somebody else's SIGKILL can leave it; not at the
   * first call that finds it. For the background.
   * @returns the paths of what was freed
   */
  freeAbandonedMemory(): Promise<string[]>
}
