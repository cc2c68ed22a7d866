import { readAnswer, refusal } from './answer.ts'
import { Deadline, sleep, within } from './deadline.ts'
import { LabConnectionError, type RequestContext } from './errors.ts'
import type { Answer, Input, OperationName } from './operation.ts'
import { retryDelayMs } from './retry.ts'
import type { Transport, TransportResponse, TransportStream } from './transport.ts'

/** How long one request may take with its retries, where the caller says nothing. */
const DEFAULT_TIMEOUT_MS = 30_000

const DEFAULT_RETRIES = 4

const EVENT_STREAM = 'text/event-stream'

/** Of an answer that is no stream after all, so much is read, in characters: whole errors of the lab are smaller. */
const LONGEST_REFUSAL = 20_000

export interface ClientOptions {
  /** Where the lab is: http or https, with or without a path prefix and a trailing slash. */
  url: string | URL
  /** The lab's token. Kept in a private field: never in errors, `util.inspect` or JSON. */
  token?: string | undefined
  /** Milliseconds that a call has, retries and all, where it says nothing itself. 30,000 for plain calls, 300,000 for those that wait. */
  timeoutMs?: number | undefined
  /** How often a request that is safe to repeat is sent again; 0 for never. 4 where left out. */
  retries?: number | undefined
  /** The User-Agent header. */
  userAgent?: string | undefined
}

/** What any call takes. */
export interface CallOptions {
  /** Gives the call up; it then throws the signal's reason. */
  signal?: AbortSignal | undefined
  /** Milliseconds for the whole call, retries and waits included; Infinity for no limit. */
  timeoutMs?: number | undefined
  /** How often a request that is safe to repeat (GET, DELETE, POST with an Idempotency-Key) is sent again; 0 for never. */
  retries?: number | undefined
}

/** The arguments of `call`: the input may be left out where nothing in it is required. */
export type CallArguments<N extends OperationName> =
  Record<never, never> extends Input<N>
    ? [operation: N, input?: Input<N>, options?: CallOptions]
    : [operation: N, input: Input<N>, options?: CallOptions]

/** Any operation's input, as it is put into a request. */
interface AnyInput {
  path?: Record<string, unknown>
  query?: Record<string, unknown>
  header?: Record<string, unknown>
  body?: unknown
}

export interface SendOptions {
  retries?: number | undefined
  /** Cuts a request that was sent; left out: the deadline's signal. */
  cut?: AbortSignal | undefined
}

/** Sends operations and reads their answers. Knows the protocol, and nothing of clones. */
export class Client {
  readonly #transport: Transport
  readonly #base: URL
  readonly #prefix: string
  readonly #token: string | undefined
  readonly #headers: Record<string, string>
  readonly #retries: number
  readonly #timeoutMs: number | undefined
  readonly #closing = new AbortController()

  /** @throws TypeError for an address or a token that can't be used; its message doesn't hold them */
  constructor({ url, token, timeoutMs, retries, userAgent }: ClientOptions, transport: Transport) {
    this.#transport = transport
    this.#base = parseBase(url)
    this.#prefix = this.#base.pathname.replace(/\/+$/, '')
    this.#token = token
    this.#timeoutMs = timeoutMs
    this.#retries = requireRetries(retries ?? DEFAULT_RETRIES)
    // Checked here, since what fetch throws for a bad header quotes it.
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
      throw new TypeError('the token must be of visible ASCII characters')
    this.#headers = {
      accept: 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(userAgent !== undefined && { 'user-agent': userAgent }),
    }
  }

  /** The lab's address, without a trailing slash. */
  get url(): string {
    return this.#base.origin + this.#prefix
  }

  async call<N extends OperationName>(...[operation, input, options = {}]: CallArguments<N>): Promise<Answer<N>> {
    const deadline = this.deadline(operation, options, DEFAULT_TIMEOUT_MS)
    return within(deadline, () => this.send(deadline, operation, input as Input<N>, options))
  }

  /** @param defaultMs where neither the call nor the client says how long it may take */
  deadline(what: string, { timeoutMs, signal }: CallOptions, defaultMs: number): Deadline {
    return new Deadline(what, timeoutMs ?? this.#timeoutMs ?? defaultMs, signal)
  }

  /** One operation as a part of a longer one: all of it has the one deadline. */
  async send<N extends OperationName>(
    deadline: Deadline,
    operation: N,
    input: Input<N>,
    { retries = this.#retries, cut = deadline.signal }: SendOptions = {},
  ): Promise<Answer<N>> {
    // The compiler can't see that each operation's input is one of these, nor can anybody know that the server keeps its word: here
    // types of the wire begin and end.
    const any = (input ?? {}) as AnyInput
    const [method, template] = splitName(operation)
    const context = { method, path: fillPath(template, any.path ?? {}) }
    const attempts = isRepeatable(method, any.header) ? requireRetries(retries) : 0
    for (let attempt = 0; ; attempt += 1) {
      try {
        const response = await this.#exchange(context, any, deadline, cut)
        return readAnswer(context, response, [this.#token ?? '', ...passwordsIn(any.body)]) as Answer<N>
      } catch (error) {
        deadline.signal.throwIfAborted()
        const delayMs = attempt < attempts ? retryDelayMs(error, attempt) : undefined
        // What the server said is worth more than a timeout that would follow for certain.
        if (delayMs === undefined || delayMs >= deadline.remainingMs) throw error
        await sleep(delayMs, deadline.signal)
      }
    }
  }

  /**
   * A GET whose answer goes on, sent once: the answer as it comes.
   *
   * @param signal ends it; whoever stops reading early aborts it
   * @throws LabApiError when it is refused, or is no event stream; LabConnectionError; TypeError for a transport that can't
   */
  async stream(path: string, input: Omit<AnyInput, 'body'>, signal: AbortSignal): Promise<AsyncIterable<string>> {
    const { stream } = this.#transport
    if (!stream) throw new TypeError('the transport of this lab has no stream()')
    const context = { method: 'GET', path }
    const headers = { ...this.#headersOf(input), accept: EVENT_STREAM }
    const request = { method: 'GET', url: this.#urlOf(context, input), headers, body: undefined, signal }
    const response = await this.#carry(context, signal, () => stream.call(this.#transport, request))
    const isStream = response.header('content-type')?.startsWith(EVENT_STREAM) ?? false
    if (response.status === 200 && isStream) return response.body
    const body = await this.#carry(context, signal, () => beginningOf(response))
    throw refusal(context, { ...response, body }, [this.#token ?? ''])
  }

  /** Aborts when the lab is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** Ends streams at once; calls that are under way end in their own time. */
  close(): Promise<void> {
    this.#closing.abort()
    return this.#transport.close()
  }

  async #exchange(
    context: RequestContext,
    input: AnyInput,
    deadline: Deadline,
    cut: AbortSignal,
  ): Promise<TransportResponse> {
    deadline.signal.throwIfAborted()
    const headers = this.#headersOf(input)
    const body = input.body === undefined ? undefined : JSON.stringify(input.body)
    if (body !== undefined) headers['content-type'] = 'application/json'
    const request = { method: context.method, url: this.#urlOf(context, input), headers, body, signal: cut }
    return this.#carry(context, deadline.signal, () => this.#transport.send(request))
  }

  #urlOf({ path }: RequestContext, { query }: AnyInput): string {
    const url = new URL(this.#base.origin + this.#prefix + path)
    for (const [name, value] of defined(query)) url.searchParams.set(name, value)
    return url.href
  }

  #headersOf({ header }: AnyInput): Record<string, string> {
    return { ...this.#headers, ...Object.fromEntries(defined(header)) }
  }

  /** @throws the signal's reason once it has aborted, else a LabConnectionError */
  async #carry<T>(context: RequestContext, signal: AbortSignal, carry: () => Promise<T>): Promise<T> {
    try {
      return await carry()
    } catch (error) {
      signal.throwIfAborted()
      throw new LabConnectionError(context, this.#base.origin, error)
    }
  }
}

function parseBase(url: string | URL): URL {
  const base = URL.canParse(String(url)) ? new URL(url) : undefined
  if (base?.protocol !== 'http:' && base?.protocol !== 'https:')
    throw new TypeError('the url of the lab must be an http or https one')
  if (base.username || base.password)
    throw new TypeError('the url of the lab must not hold a user or a password: use the token option')
  if (base.search || base.hash) throw new TypeError('the url of the lab must not have a query or a fragment')
  return base
}

function requireRetries(retries: number): number {
  if (Number.isInteger(retries) && retries >= 0) return retries
  throw new TypeError('retries must be a whole number, 0 or more')
}

function splitName(operation: string): [method: string, template: string] {
  const space = operation.indexOf(' ')
  return [operation.slice(0, space), operation.slice(space + 1)]
}

function fillPath(template: string, parameters: Record<string, unknown>): string {
  return template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(parameters[name] ?? '')
    // URLs take these for "here" and "one up": another path would be asked for.
    if (value === '' || value === '.' || value === '..') throw new TypeError(`${name} must not be empty, "." or ".."`)
    return encodeURIComponent(value)
  })
}

/** PATCH is not: sent twice, it could undo what somebody else changed in between. */
function isRepeatable(method: string, header: Record<string, unknown> = {}): boolean {
  return method === 'GET' || method === 'DELETE' || (method === 'POST' && header['Idempotency-Key'] !== undefined)
}

async function beginningOf({ body }: TransportStream): Promise<string> {
  let text = ''
  for await (const chunk of body) {
    text += chunk
    if (text.length > LONGEST_REFUSAL) break
  }
  return text
}

function defined(values: Record<string, unknown> = {}): [string, string][] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
}

/** Whatever stands under a key named password, so that it can be kept out of errors. */
function passwordsIn(body: unknown): string[] {
  if (typeof body !== 'object' || body === null) return []
  return Object.entries(body).flatMap(([key, value]) =>
    key === 'password' && typeof value === 'string' ? [value] : passwordsIn(value),
  )
}
