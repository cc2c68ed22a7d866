import type { Caller } from '../access/caller.ts'
import { LabError } from '../errors.ts'

export interface StreamLimits {
  /** Of one token; the lab's first counts as one. */
  perToken: number
  inAll: number
  /** Of all of them, those that are left for admins. */
  forAdmins: number
}

/**
 * A stream costs a connection and some kilobytes for as long as it is open. One process of the SDK takes one, however many clones it waits for;
 * whoever is refused asks for what it wants to know, as before there were events.
 */
const LIMITS: StreamLimits = { perToken: 128, inAll: 512, forAdmins: 64 }

/** Soon enough for whoever waits, and not worth the while for whoever comes by the hundred. */
const RETRY_AFTER_SECONDS = 10

/** Counts the streams that are open. */
export class OpenStreams {
  readonly #limits: StreamLimits
  readonly #byToken = new Map<string, number>()
  #inAll = 0

  constructor(limits: StreamLimits = LIMITS) {
    this.#limits = limits
  }

  /**
   * Until disposed of, once.
   *
   * @param caller whose token it is
   * @throws LabError TOO_BUSY
   */
  enter({ tokenId, role }: Pick<Caller, 'tokenId' | 'role'>): Disposable {
    const { perToken, inAll, forAdmins } = this.#limits
    const key = tokenId ?? ''
    const ofToken = this.#byToken.get(key) ?? 0
    if (ofToken >= perToken) throw tooMany(`${ofToken} streams of this token are open already`)
    if (this.#inAll >= inAll - (role === 'admin' ? 0 : forAdmins))
      throw tooMany(`${this.#inAll} streams are open already`)
    this.#byToken.set(key, ofToken + 1)
    this.#inAll++
    return { [Symbol.dispose]: () => this.#leave(key) }
  }

  #leave(key: string): void {
    const left = (this.#byToken.get(key) ?? 0) - 1
    if (left > 0) this.#byToken.set(key, left)
    else this.#byToken.delete(key)
    this.#inAll--
  }
}

function tooMany(detail: string): LabError {
  return new LabError('TOO_BUSY', detail, { retryAfterSeconds: RETRY_AFTER_SECONDS })
}
