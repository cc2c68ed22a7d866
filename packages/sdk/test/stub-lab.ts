import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clone } from '../src/index.ts'

export interface Received {
  method: string
  path: string
  query: Record<string, string>
  headers: IncomingHttpHeaders
  body: unknown
  at: number
}

export interface Reply {
  status?: number
  headers?: Record<string, string>
  /** Sent as JSON, but for a text. */
  body?: unknown
}

/** An answer that goes on, written as it goes. */
export interface Streaming {
  stream(response: ServerResponse): void
}

/** `cut`: the connection is closed without an answer; `half`: in the middle of one; `silent`: there is never an answer. */
export type Behaviour = Reply | Streaming | 'cut' | 'half' | 'silent'
export type Handler = Behaviour | ((request: Received) => Behaviour | Promise<Behaviour>)

/** A server on a real socket that answers as it is told, and remembers what it was asked. */
export class StubLab implements AsyncDisposable {
  /** All but those for events. */
  readonly received: Received[] = []
  /** Those for events. Unless told otherwise, this is a server that has none. */
  readonly streams: Received[] = []
  readonly #queues = new Map<string, Handler[]>()
  readonly #server = createServer(((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub')
    void text(request).then(async (body) => {
      const one: Received = {
        method: request.method ?? '',
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        headers: request.headers,
        body: body === '' ? undefined : JSON.parse(body),
        at: performance.now(),
      }
      if (one.path === '/events') this.streams.push(one)
      else this.received.push(one)
      reply(response, await this.#answerTo(one))
    })
  }) satisfies RequestListener)

  static async start(): Promise<StubLab> {
    const stub = new StubLab()
    stub.#server.listen(0, '127.0.0.1')
    await once(stub.#server, 'listening')
    return stub
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** What to answer to an operation such as `GET /clone/c1`, one after the other; the last one stays. */
  on(operation: string, ...handlers: Handler[]): this {
    this.#queues.set(operation, handlers)
    return this
  }

  /** The requests of an operation so far. */
  requests(operation: string): Received[] {
    return this.received.filter(({ method, path }) => `${method} ${path}` === operation)
  }

  connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answerTo(request: Received): Promise<Behaviour> {
    const queue = this.#queues.get(`${request.method} ${request.path}`) ?? []
    const handler = queue.length > 1 ? queue.shift() : queue[0]
    if (handler === undefined) return apiError(404, 'PATH_NOT_FOUND')
    return typeof handler === 'function' ? handler(request) : handler
  }
}

function reply(response: ServerResponse, behaviour: Behaviour): void {
  if (behaviour === 'silent') return
  if (behaviour === 'cut') {
    response.destroy()
    return
  }
  if (typeof behaviour === 'object' && 'stream' in behaviour) {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    behaviour.stream(response)
    return
  }
  if (behaviour === 'half') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('{"id":', () => response.destroy())
    return
  }
  const { status = 200, headers = {}, body } = behaviour
  const type = typeof body === 'string' ? 'text/html' : 'application/json'
  response.writeHead(status, { 'content-type': type, ...headers })
  response.end(typeof body === 'string' || body === undefined ? body : JSON.stringify(body))
}

export function apiError(status: number, code: string, more: Record<string, unknown> = {}, headers = {}): Reply {
  return {
    status,
    headers,
    body: { code, name: `Name of ${code}`, hint: `Hint of ${code}`, requestId: 'r-1', ...more },
  }
}

export const tooBusy = (seconds: number): Reply => apiError(503, 'TOO_BUSY', {}, { 'retry-after': String(seconds) })

/** A clone as the server answers it. */
export function cloneBody(
  code: string,
  changes: Partial<Clone> & Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    id: 'c1',
    status: { code, message: `The clone is ${code}` },
    project: '',
    snapshot: 's1',
    db: {
      username: 'clone',
      password: '',
      host: '127.0.0.1',
      port: '6001',
      dbName: 'shop',
      connStr: 'postgresql://clone@127.0.0.1:6001/shop',
    },
    protected: false,
    deleteAt: '',
    name: '',
    username: '',
    createdAt: '2026-01-31T12:00:00.000Z',
    cloneSize: 4096,
    cloningTime: 0.4,
    resetFailedAt: '',
    ...changes,
  }
}

export const cloneReply = (code: string, changes?: Parameters<typeof cloneBody>[1]): Reply => ({
  body: cloneBody(code, changes),
})

export const cloneGone = apiError(404, 'CLONE_NOT_FOUND')

/** Answers after some time, as a server does that holds its answer until something happens. */
export const after =
  (ms: number, behaviour: Behaviour): Handler =>
  async () => {
    await delay(ms)
    return behaviour
  }

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('expected a rejection')
}
