import type { Client } from 'pg'
import { allOf } from './bounded.ts'
import { type ClusterVolumes, dataDirOf } from './cluster-volumes.ts'
import { failPoint } from './faults/faults.ts'
import { openLabSession } from './postgres/connect.ts'
import { USERS_ROLE } from './postgres/names.ts'
import { flushUser } from './postgres/next-user.ts'
import type { Profile } from './postgres/profiles.ts'
import { knock, type LoginTarget, type ProbeOptions, probeLogin } from './postgres/ready.ts'
import { asUserOf, setUpUserIn, type UserRole } from './postgres/roles.ts'
import type { Certificate, InstanceLimits, InstanceSpec } from './postgres/runtime.ts'
import { PreparedClone } from './prepared-clone.ts'
import type { Volume } from './storage/driver.ts'

/** Who may log in to a clone, and where. */
export interface Login {
  username: string
  /** The database that the login is for; there already, in the snapshot. */
  database: string
  /** SCRAM-SHA-256, as Postgres stores it. */
  verifier: string
  /** Where it is still at hand, the login is tried with it before the clone is called ready. */
  password?: string | undefined
}

/** What a creation is at, in this order. */
export type CloneStep = 'volume' | 'postgres' | 'user' | 'login'

export interface CloneOptions {
  signal?: AbortSignal | undefined
  onStep?: (step: CloneStep) => void
}

interface StartSpec {
  port: number
  profile?: Profile | undefined
}

export interface CloneStartsOptions {
  /** Address that clones listen on. */
  host: string
  tls?: Certificate | undefined
  limits?: InstanceLimits | undefined
  allowSuperusers: boolean
}

/** Of what runs already, and waits for nothing but a login. */
const HAND_OVER_MS = 5000
/** Of snapshots that are long gone, most of them. */
const MOST_PROVEN = 10_000

/** How the Postgres of a new volume comes up, and gets its user. */
export class CloneStarts {
  readonly #volumes: ClusterVolumes
  readonly #options: CloneStartsOptions
  /**
   * Logins that have worked, by what they depend on: all clones of one snapshot let into one database whom one of them let in. What is each
   * clone's own, the challenge shows.
   */
  readonly #proven = new Set<string>()

  constructor(volumes: ClusterVolumes, options: CloneStartsOptions) {
    this.#volumes = volumes
    this.#options = options
  }

  /** Starts Postgres on the volume, gives the user the login, and sees that it works. Nothing runs after a failure. */
  async forUser(volume: Volume, spec: StartSpec & { login: Login }, { signal, onStep }: CloneOptions): Promise<void> {
    const { login, port } = spec
    const timeoutMs = this.#volumes.deadlines.startMs
    await using undo = new AsyncDisposableStack()
    undo.defer(() => this.#volumes.runtime.stop(volume.id, 'immediate'))
    using door = new DisposableStack()
    const user = { ...login, allowSuperuser: this.#options.allowSuperusers }
    const target = this.#target(port, login)
    const firstSession = async (client: Client) => {
      const knocked = door.adopt(knock(target), (socket) => void socket.destroy())
      await failPoint('clone.postgres-started')
      onStep?.('user')
      const role = await setUpUserIn(client, user)
      await failPoint('clone.user-set-up')
      onStep?.('login')
      await allOf([this.#prove(volume, target, role, { signal, timeoutMs, knocked }), flushUser(client)])
    }
    await this.#volumes.noticingSpace(volume.id, async () => {
      onStep?.('postgres')
      const instance = await this.#instance(volume, spec, login.database, [login.username])
      await asUserOf(user, () => this.#volumes.runtime.start(instance, { signal, timeoutMs, firstSession }))
      await failPoint('clone.login-proven')
    })
    undo.move()
  }

  /** Starts it for nobody yet. */
  async ahead(
    volume: Volume,
    spec: StartSpec & { database: string },
    signal: AbortSignal | undefined,
  ): Promise<PreparedClone> {
    const { port, database } = spec
    const { runtime, deadlines } = this.#volumes
    const running = await this.#volumes.noticingSpace(volume.id, async () => {
      const instance = await this.#instance(volume, spec, database, [])
      return runtime.start({ ...instance, usersRole: USERS_ROLE }, { signal, timeoutMs: deadlines.startMs })
    })
    await failPoint('clone.postgres-started')
    const session = await openLabSession(running, database, { signal })
    return new PreparedClone({ volume, port, runtime, session })
  }

  async handOver(prepared: PreparedClone, login: Login, signal: AbortSignal | undefined): Promise<void> {
    const user = { ...login, allowSuperuser: this.#options.allowSuperusers }
    const options = { signal, timeoutMs: HAND_OVER_MS }
    const target = this.#target(prepared.port, login)
    await this.#volumes.noticingSpace(prepared.volumeId, () =>
      prepared.handTo(user, target, {
        prove: (role, knocked) => this.#prove(prepared.volume, target, role, { ...options, knocked }),
      }),
    )
  }

  /** By a login, the first time; by the server's challenge, where such a login has worked already. */
  async #prove({ origin }: Volume, target: LoginTarget, role: UserRole, options: ProbeOptions): Promise<void> {
    const { database, username } = target
    // A role that was made for the clone is like any other; one that the data has may be different in everything.
    const key = JSON.stringify([origin, database, role === 'taken' ? null : username])
    const isProven = this.#proven.has(key)
    await probeLogin(isProven ? { ...target, password: undefined } : target, options)
    if (isProven || target.password === undefined) return
    if (this.#proven.size >= MOST_PROVEN) this.#proven.clear()
    this.#proven.add(key)
  }

  async #instance(
    volume: Volume,
    { port, profile }: StartSpec,
    database: string,
    users: readonly string[],
  ): Promise<InstanceSpec> {
    const { host, tls, limits } = this.#options
    const dataDir = dataDirOf(volume)
    const settings = await this.#volumes.settingsOf(dataDir, profile)
    return { id: volume.id, dataDir, host, tls, port, database, users, settings, limits }
  }

  #target(port: number, login: Login): LoginTarget {
    const { host, tls } = this.#options
    return { host: reachableAddress(host), port, tls: tls !== undefined, ...login }
  }
}

/** Where the server itself reaches what listens on `host`: an address for "all" is none to connect to. */
function reachableAddress(host: string): string {
  if (host === '0.0.0.0' || host === '*') return '127.0.0.1'
  return host === '::' ? '::1' : host
}
