import { failPoint, isProvisionError, lastWords, type Provisioner } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { isOutOfSpace } from '../errors.ts'
import type { Logger } from '../log.ts'
import { explainFailure, firstCause } from './explain.ts'
import { loginOf } from './login.ts'

export interface RestartsOptions {
  catalogue: Catalogue
  provisioner: Provisioner
  log: Logger
  /** The host's boot id when such a clone runs with `fsync=off`, else null. */
  unsafeBootIdOf: (clone: CloneRecord) => string | null
  /** Resolves once no other server of the clone's is bound to its port. */
  freePort: (id: string) => Promise<void>
  /** Called whenever what is said of a clone here may have changed. */
  changed: (id: string) => void
}

/** Of the log of a Postgres that ended, in its clone's message. */
const LAST_LINES = 5
const LAST_CHARACTERS = 600
interface Down {
  message: string
  attempts: number
  retryAt: number
  outOfSpace: boolean
}

/** Doubles after each attempt. */
const FIRST_RETRY_MS = 5000
const LAST_RETRY_MS = 5 * 60_000
/** Others may make room at any moment, and a start that finds none ends soon. */
const LAST_RETRY_WITHOUT_SPACE_MS = 60_000

/**
 * Brings back the Postgres of clones that are OK in the catalogue and do not run: after a reboot of the host, a stop of the lab, or a
 * crash. Their data is intact, so a start that fails is tried again, later each time, and never gives the clone up.
 */
export class Restarts {
  readonly #options: RestartsOptions
  readonly #starting = new Set<string>()
  readonly #silent = new Map<string, string>()
  readonly #down = new Map<string, Down>()

  constructor(options: RestartsOptions) {
    this.#options = options
  }

  /** True while the clone's Postgres is about to be started again with the data it had. */
  isStarting(id: string): boolean {
    return this.#starting.has(id)
  }

  /** Why the clone's Postgres could not be started the last time, or does not answer; undefined when it could, and does. */
  whyDown(id: string): string | undefined {
    return this.#down.get(id)?.message ?? this.#silent.get(id)
  }

  /** Its Postgres runs, and does not answer. Nothing is done about it: its sessions may go on, and it may be on purpose. */
  noteSilent(id: string, pid: number | undefined): void {
    if (!this.#silent.has(id)) this.#options.log.error('a Postgres does not answer', { clone: id, pid })
    this.#silent.set(
      id,
      `Its Postgres (process ${pid}) runs and does not answer: somebody stopped it by a signal, or it waits for its disk. Its data is as it was. Let it go on (kill -CONT ${pid}), or reset the clone or delete it, which ends it.`,
    )
    this.#options.changed(id)
  }

  noteAnswer(id: string): void {
    if (this.#silent.delete(id)) this.#options.changed(id)
  }

  isSilent(id: string): boolean {
    return this.#silent.has(id)
  }

  /** True after a start that failed, until another has not. */
  isDown(id: string): boolean {
    return this.#down.has(id)
  }

  /** True when a start that failed should be tried again by now. */
  mayRetry(id: string): boolean {
    return (this.#down.get(id)?.retryAt ?? 0) <= Date.now()
  }

  /** Something was removed: what had no room to start is tried again with the next look. */
  spaceMayBeBack(): void {
    for (const down of this.#down.values()) if (down.outOfSpace) down.retryAt = 0
  }

  /** To be said when a `restart` is scheduled, so that nobody takes the clone for ready before. */
  markStarting(id: string): void {
    this.#starting.add(id)
    this.#options.changed(id)
  }

  /** Its data is another now, or gone: what kept the old one from starting says nothing of it. */
  forget(id: string): void {
    this.#down.delete(id)
    this.#silent.delete(id)
  }

  /** @param died it ran before, and this server did not stop it: its message says so once it runs again */
  async restart(id: string, signal?: AbortSignal, { died = false } = {}): Promise<void> {
    const { catalogue, provisioner, log, unsafeBootIdOf, freePort, changed } = this.#options
    const clone = catalogue.clones.get(id)
    try {
      if (clone?.status !== 'OK' || clone.volumeId === null) return
      this.markStarting(id)
      const { volumeId, port, profile } = clone
      // It may have come up the last time, and what follows have failed.
      const runs = (await provisioner.runtime.inspect(volumeId))?.state === 'running'
      const message = died && !runs ? await this.#obituary(volumeId) : undefined
      if (!runs) await freePort(id)
      if (!runs) await provisioner.startClone({ volumeId, port, profile, login: loginOf(clone) }, { signal })
      await failPoint('restart.postgres-started')
      const learnt = await this.#learnt(clone, volumeId, signal)
      catalogue.clones.update(id, {
        unsafeBootId: unsafeBootIdOf(clone),
        ...learnt,
        ...(message !== undefined && { message }),
      })
      await failPoint('restart.settled')
      this.forget(id)
      log.info('clone runs again', { clone: id })
    } catch (error) {
      if (!signal?.aborted) this.noteDown(id, error)
    } finally {
      this.#starting.delete(id)
      changed(id)
    }
  }

  /** What happened to a Postgres that ended, for the message of its clone. */
  async #obituary(volumeId: string): Promise<string> {
    const { provisioner } = this.#options
    const words = lastWords(await provisioner.runtime.logs(volumeId, LAST_LINES), LAST_LINES, LAST_CHARACTERS)
    const how = (await isClean(provisioner, volumeId)) ? 'was stopped by somebody' : 'ended in a crash, or was killed'
    const when = new Date().toISOString()
    return `Database is ready. Its Postgres ${how}, and was started again at ${when} with the data it had. Its last words${words}`
  }

  /** A catalogue that was made anew while the clone's data could not be read has no verifier of it, and without one no reset. */
  async #learnt(
    { verifier, dbUsername }: CloneRecord,
    volumeId: string,
    signal: AbortSignal | undefined,
  ): Promise<Pick<CloneRecord, 'verifier'> | undefined> {
    if (verifier !== '') return undefined
    return { verifier: (await this.#options.provisioner.verifierOf(volumeId, dbUsername, { signal })) ?? '' }
  }

  /** Its Postgres does not run, though its data is whole: another start is tried after a pause. */
  noteDown(id: string, error: unknown): void {
    const attempts = (this.#down.get(id)?.attempts ?? 0) + 1
    const outOfSpace = isOutOfSpace(firstCause(error))
    const longest = outOfSpace ? LAST_RETRY_WITHOUT_SPACE_MS : LAST_RETRY_MS
    const pauseMs = Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), longest)
    this.#options.log.error('start failed; it will be tried again', { clone: id, attempts, error })
    const message = `It could not be started, and will be tried again; its data is as it was. ${explainFailure(error)} To give the data up, reset the clone.`
    this.#down.set(id, { message, attempts, retryAt: Date.now() + pauseMs, outOfSpace })
  }
}

/** False too for data that can't be read: the start says why. */
async function isClean(provisioner: Provisioner, volumeId: string): Promise<boolean> {
  try {
    return await provisioner.isShutDownCleanly(volumeId)
  } catch (error) {
    if (isProvisionError(error)) return false
    throw error
  }
}
