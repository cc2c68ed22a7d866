import { allOf } from './bounded.ts'
import { ProvisionError } from './errors.ts'
import { failPoint } from './faults/faults.ts'
import { inLabSession, type LabSession } from './postgres/connect.ts'
import { flushUser, rehearseNextUser, takeNextUser } from './postgres/next-user.ts'
import { knock, type LoginTarget, probeLogin } from './postgres/ready.ts'
import { asUserOf, setUpUserIn, type UserSpec } from './postgres/roles.ts'
import type { PostgresRuntime } from './postgres/runtime.ts'
import type { VolumeId } from './storage/driver.ts'

export interface PreparedCloneOptions {
  volumeId: VolumeId
  port: number
  runtime: PostgresRuntime
  /** In the main database; nobody but the lab is let in yet. */
  session: LabSession
}

/** A Postgres that runs on a volume of its own and has no user yet: the next clone's, whoever asks for it. */
export class PreparedClone implements AsyncDisposable {
  readonly volumeId: VolumeId
  readonly port: number
  readonly #options: PreparedCloneOptions
  #isAlive = true
  #isTaken = false

  /** Made by a Provisioner. */
  constructor(options: PreparedCloneOptions) {
    this.#options = options
    this.volumeId = options.volumeId
    this.port = options.port
    options.session.client.once('end', () => {
      this.#isAlive = false
    })
  }

  /** Has the session learn beforehand what it will need to know. */
  async rehearse(): Promise<void> {
    await inLabSession(this.#options.session, rehearseNextUser)
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
  async handTo(
    user: UserSpec,
    target: LoginTarget,
    { signal, timeoutMs }: { signal?: AbortSignal | undefined; timeoutMs: number },
  ): Promise<void> {
    const { session, runtime, volumeId } = this.#options
    if (this.#isTaken) throw new ProvisionError('FAILED', 'it was handed to somebody already')
    this.#isTaken = true
    using door = new DisposableStack()
    const atTheDoor = () => door.adopt(knock(target), (socket) => void socket.destroy())
    let knocked = atTheDoor()
    await asUserOf(user, () =>
      inLabSession(session, async () => {
        if (await takeNextUser(session.client, user.username, user.verifier)) return
        await setUpUserIn(session.client, user)
        await runtime.admit(volumeId, [user.username])
        // Again: a process that the server has made for a connection keeps the rules of that moment.
        knocked = atTheDoor()
      }),
    )
    await failPoint('clone.user-set-up')
    await allOf([
      probeLogin(target, { signal, timeoutMs, knocked }),
      inLabSession(session, () => flushUser(session.client)),
    ])
    await failPoint('clone.login-proven')
    // The user's from here on: not even the lab stands in the way of what they do with their databases.
    session.close().catch(() => undefined)
  }

  /** Ends the lab's session. What runs, runs on. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isAlive) await this.#options.session.close()
  }
}
