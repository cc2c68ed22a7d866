import type { Client } from 'pg'
import { allOf } from './bounded.ts'
import { type ClusterVolumes, dataDirOf } from './cluster-volumes.ts'
import { failPoint } from './faults/faults.ts'
import { openLabSession } from './postgres/connect.ts'
import { NEXT_USER_ROLE, USERS_ROLE } from './postgres/names.ts'
import { flushUser } from './postgres/next-user.ts'
import type { Profile } from './postgres/profiles.ts'
import { knock, type LoginTarget, type ProbeOptions, probeLogin } from './postgres/ready.ts'
import { asUserOf, setUpUserIn, type UserRole } from './postgres/roles.ts'
import type { Certificate, InstanceLimits, InstanceSpec } from './postgres/runtime.ts'
import { PreparedClone } from './prepared-clone.ts'
import { type LoginCase, ProvenLogins } from './proven-logins.ts'
import type { PortSteering } from './steering/port-steering.ts'
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
  steering?: PortSteering | undefined
  allowSuperusers: boolean
}

/** Of what runs already, and waits for nothing but a login. */
const HAND_OVER_MS = 5000

/** How the Postgres of a new volume comes up, and gets its user. */
export class CloneStarts {
  readonly #volumes: ClusterVolumes
  readonly #options: CloneStartsOptions
  readonly #proven = new ProvenLogins()

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
    const of = (role: UserRole) => ({ ...login, origin: volume.origin, role, byName: true })
    const firstSession = async (client: Client) => {
      const knocks = this.#proven.missing(of('taken')) !== 'none'
      const knocked = knocks ? door.adopt(knock(target), (socket) => void socket.destroy()) : undefined
      await failPoint('clone.postgres-started')
      onStep?.('user')
      // Where a login is tried, it can reach the disk meanwhile.
      const durability = knocks ? 'soon' : 'now'
      const role = await setUpUserIn(client, user, durability)
      await failPoint('clone.user-set-up')
      onStep?.('login')
      const works = [this.#prove(of(role), target, { signal, timeoutMs, knocked })]
      if (durability === 'soon') works.push(flushUser(client))
      await allOf(works)
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
    const prepared = new PreparedClone({ volume, port, runtime, session })
    await using undo = new AsyncDisposableStack()
    undo.use(prepared)
    // The rules let in whom they will let in, whatever the name is by then. Where they will have to name a user, that is tried with the name.
    if (await prepared.rehearse())
      await probeLogin(this.#target(port, { database, username: NEXT_USER_ROLE }), { signal })
    undo.move()
    return prepared
  }

  async handOver(prepared: PreparedClone, login: Login, signal: AbortSignal | undefined): Promise<void> {
    const user = { ...login, allowSuperuser: this.#options.allowSuperusers }
    const options = { signal, timeoutMs: HAND_OVER_MS }
    const deadline = AbortSignal.timeout(HAND_OVER_MS)
    const target = this.#target(prepared.port, login)
    const { origin } = prepared.volume
    const of = (role: UserRole) => ({ ...login, origin, role, byName: role === 'made' })
    await this.#volumes.noticingSpace(prepared.volumeId, () =>
      prepared.handTo(user, target, {
        knocks: this.#proven.missing(of('taken')) !== 'none',
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
        prove: (role, knocked) => this.#prove(of(role), target, { ...options, knocked }),
      }),
    )
  }

  /** By what others have not shown. Without the password, the most that there can be is the challenge. */
  async #prove(of: LoginCase, target: LoginTarget, options: ProbeOptions): Promise<void> {
    const missing = this.#proven.missing(of)
    if (missing === 'none') return
    const proof = target.password === undefined ? 'challenge' : missing
    await probeLogin(proof === 'challenge' ? { ...target, password: undefined } : target, options)
    this.#proven.note(of, proof)
  }

  async #instance(
    volume: Volume,
    { port, profile }: StartSpec,
    database: string,
    users: readonly string[],
  ): Promise<InstanceSpec> {
    const { host, tls, limits, steering } = this.#options
    await steering?.release(port)
    const dataDir = dataDirOf(volume)
    const settings = await this.#volumes.settingsOf(dataDir, profile)
    return { id: volume.id, dataDir, host, tls, port, database, users, settings, limits }
  }

  #target(port: number, login: Pick<LoginTarget, 'database' | 'username'>): LoginTarget {
    const { host, tls } = this.#options
    return { host: reachableAddress(host), port, tls: tls !== undefined, ...login }
  }
}

/** Where the server itself reaches what listens on `host`: an address for "all" is none to connect to. */
function reachableAddress(host: string): string {
  if (host === '0.0.0.0' || host === '*') return '127.0.0.1'
  return host === '::' ? '::1' : host
}
