import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { isSystemError } from '../src/errors.ts'

/** One that the system says is free; it does not give the same again soon. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await close(server)
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  return address.port
}

const RANGE = 200
const FIRST = 8000
/** From 32768 on, Linux lends ports for outgoing connections: any of them may be taken at any moment. */
const END = 32_768

export interface PortRange extends AsyncDisposable {
  from: number
  /** The last one, included. */
  to: number
}

/** Ports that are all free, and that no other caller gets, in this process or another, until disposed of. */
export async function freePortRange(): Promise<PortRange> {
  const slots = Math.floor((END - FIRST) / (RANGE + 1))
  for (let tried = 0; tried < slots; tried++) {
    // Each process begins at another one, so that they seldom try the same.
    const first = FIRST + ((process.pid + tried) % slots) * (RANGE + 1)
    // Whoever listens on the first port has those after it.
    const guard = await listen(first)
    if (!guard) continue
    const ports = Array.from({ length: RANGE }, (_, index) => first + 1 + index)
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) {
      guard.unref()
      return { from: first + 1, to: first + RANGE, [Symbol.asyncDispose]: () => close(guard) }
    }
    await close(guard)
  }
  throw new Error(`there are no ${RANGE} free ports in a row on this machine`)
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port)
  if (server) await close(server)
  return server !== undefined
}

/** Undefined when somebody else has the port. */
async function listen(port: number): Promise<Server | undefined> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    return server
  } catch (error) {
    if (isSystemError(error, 'EADDRINUSE')) return undefined
    throw error
  }
}

async function close(server: Server): Promise<void> {
  server.close()
  await once(server, 'close')
}
