import type { Socket } from 'node:net'
import { allOf } from './bounded.ts'
import { ProvisionError } from './errors.ts'
import { failPoint } from './faults/faults.ts'
import { inLabSession, type LabSession } from './postgres/connect.ts'
import { flushUser, rehearseNextUser, takeNextUser } from './postgres/next-user.ts'
import { knock, type LoginTarget } from './postgres/ready.ts'
import { asUserOf, setUpUserIn, type UserRole, type UserSpec } from './postgres/roles.ts'
import type { PostgresRuntime } from './postgres/runtime.ts'
import type { Volume, VolumeId } from './storage/driver.ts'

export interface PreparedCloneOptions {
  volume: Volume
  port: number
  runtime: PostgresRuntime
  /** In the main database; nobody but the lab is let in yet. */
  session: LabSession
}

interface HandOver {
  /** Whether it will have to be seen by a connection: see `knock`. */
  knocks: boolean
  /** Sees that the login works, by that connection if there is one. */
  prove: (role: UserRole, knocked: Socket | undefined) => Promise<void>
  signal: AbortSignal
}

/** A Postgres that runs on a volume of its own and has no user yet: the next clone's, whoever asks for it. */
export class PreparedClone implements AsyncDisposable {
  readonly volume: Volume
  readonly port: number
  readonly #options: PreparedCloneOptions
  #isAlive = true
  #isTaken = false

  /** Made by a Provisioner. */
  constructor(options: PreparedCloneOptions) {
    this.#options = options
    this.volume = options.volume
    this.port = options.port
    options.session.client.once('end', () => {
      this.#isAlive = false
    })
  }

  get volumeId(): VolumeId {
    return this.volume.id
  }

  /** Has the session learn beforehand what it will need to know. @returns false where no role stands ready, so that one will be made */
  async rehearse(): Promise<boolean> {
    return inLabSession(this.#options.session, rehearseNextUser)
  }

  /** False once its Postgres has ended. */
  get isAlive(): boolean {
    return this.#isAlive
  }

  /**
   * Makes it a user's. The login works when this resolves. Once: after a failure too, nobody else may have it.
   *
   * @throws ProvisionError as `Provisioner.createClone`
   */
  async handTo(user: UserSpec, target: LoginTarget, { knocks, prove, signal }: HandOver): Promise<void> {
    const { session, runtime } = this.#options
    if (this.#isTaken) throw new ProvisionError('FAILED', 'it was handed to somebody already')
    this.#isTaken = true
    // What stands still does not answer, and does not end a statement either.
    const cut = () => session.cut()
    signal.addEventListener('abort', cut)
    using door = new DisposableStack()
    door.defer(() => signal.removeEventListener('abort', cut))
    const atTheDoor = () => door.adopt(knock(target), (socket) => void socket.destroy())
    let knocked = knocks ? atTheDoor() : undefined
    // Where a login is tried, it can reach the disk meanwhile.
    const durability = knocks ? 'soon' : 'now'
    const role = await asUserOf(user, () =>
      inLabSession(session, async () => {
        if (await takeNextUser(session.client, user, durability)) return 'taken'
        const made = await setUpUserIn(session.client, user, durability)
        await runtime.admit(this.volumeId, [user.username])
        // Only now: a process that the server has made for a connection keeps the rules of that moment.
        knocked = atTheDoor()
        return made
      }),
    )
    await failPoint('clone.user-set-up')
    const works = [prove(role, knocked)]
    if (durability === 'soon') works.push(inLabSession(session, () => flushUser(session.client)))
    await allOf(works)
    await failPoint('clone.login-proven')
    // The user's from here on: not even the lab stands in the way of what they do with their databases.
    session.close().catch(() => undefined)
  }

  /** Ends the lab's session. What runs, runs on. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isAlive) await this.#options.session.close()
  }
}
