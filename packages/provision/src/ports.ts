import { once } from 'node:events'
import { createServer } from 'node:net'
import { isSystemError, ProvisionError } from './errors.ts'

export interface PortPoolOptions {
  from: number
  /** The last one, included. */
  to: number
  /** Where the borrowers listen. */
  host: string
}

/** Lends the ports of a range, each to one borrower at a time. Knows what it has lent; asks the system about the rest of the world. */
export class PortPool {
  readonly #options: PortPoolOptions
  readonly #lent = new Map<number, string | undefined>()
  #next: number

  constructor(options: PortPoolOptions) {
    const { from, to } = options
    if (!(Number.isInteger(from) && Number.isInteger(to) && 0 < from && from <= to && to <= 65_535)) {
      throw new ProvisionError('INVALID', `${from} to ${to} is no range of ports`)
    }
    this.#options = options
    this.#next = from
  }

  /**
   * A port that is neither lent nor in use by anybody else. Goes through the range in turn, so that a port rests for as long as can be
   * before it is lent again: the last borrower's clients do not end up with the next one, and a late second release finds nothing.
   *
   * @param options.owner who has it: a later `release` in the name of another frees nothing
   * @throws ProvisionError UNAVAILABLE when all are taken
   */
  async lend({ owner }: { owner?: string | undefined } = {}): Promise<number> {
    const { from, to, host } = this.#options
    for (let tries = from; tries <= to; tries++) {
      const port = this.#next
      this.#next = port === to ? from : port + 1
      if (await this.#tryLend(port, owner)) return port
    }
    throw new ProvisionError('UNAVAILABLE', `all ports from ${from} to ${to} of ${host} are taken`, {
      hint: 'Delete clones that nobody needs, or configure a wider range.',
    })
  }

  /** How many are not lent; others on this machine may have some of them. */
  get unlent(): number {
    const { from, to } = this.#options
    let lent = 0
    for (const port of this.#lent.keys()) if (from <= port && port <= to) lent++
    return to - from + 1 - lent
  }

  /** Counts a port as lent whether or not it is free: its borrower, known from before, may be listening already. */
  take(port: number, owner?: string): void {
    this.#lent.set(port, owner)
  }

  /** Lent to another owner from now on. */
  pass(port: number, owner: string): void {
    if (this.#lent.has(port)) this.#lent.set(port, owner)
  }

  /** Given back. Of a port that is not lent, or is lent to another owner by now, nothing changes. */
  release(port: number, owner?: string): void {
    if (this.#lent.get(port) === owner) this.#lent.delete(port)
  }

  async #tryLend(port: number, owner: string | undefined): Promise<boolean> {
    if (this.#lent.has(port)) return false
    // Before the question, so that nobody else asks the same one meanwhile.
    this.#lent.set(port, owner)
    let free = false
    try {
      free = await isFree(port, this.#options.host)
    } finally {
      if (!free) this.#lent.delete(port)
    }
    return free
  }
}

/** Listening is the one sure way to know: a port can be taken without anybody answering there. */
async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer()
  try {
    server.listen({ port, host, exclusive: true })
    await once(server, 'listening')
    return true
  } catch (error) {
    // EACCES: a port that only root may have.
    if (isSystemError(error, 'EADDRINUSE', 'EACCES')) return false
    throw error
  } finally {
    if (server.listening) {
      server.close()
      await once(server, 'close')
    }
  }
}
