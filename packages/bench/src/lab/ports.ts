import { once } from 'node:events'
import { createServer } from 'node:net'
import { isSystemError } from '@dblab/provision'

const CLONES = 750
const BARE = 250
const BLOCKS = 12
/**
 * Blocks by our own process, so that another run beside this one seldom has the same; below 32768, from where on Linux lends ports for outgoing
 * connections, of which thousands of starts would sooner or later meet one.
 */
const FIRST = 20_000 + (process.pid % BLOCKS) * (CLONES + BARE)

/** For the clones of a lab, which looks for itself which are free. */
export const CLONE_PORTS = { from: FIRST, to: FIRST + CLONES - 1 }

/** For bare servers: each port comes again only after all others. */
export class BarePorts {
  #lent = 0

  /** @throws Error where none is free */
  async next(): Promise<number> {
    for (let tried = 0; tried < BARE; tried++) {
      const port = FIRST + CLONES + (this.#lent++ % BARE)
      if (await isFree(port)) return port
    }
    throw new Error(`none of the ports from ${FIRST + CLONES} to ${FIRST + CLONES + BARE - 1} is free`)
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch (error) {
    if (isSystemError(error, 'EADDRINUSE')) return false
    throw error
  }
  server.close()
  await once(server, 'close')
  return true
}
