import { connect } from 'node:net'

export interface RawAnswer {
  status: number
  headers: Headers
  text: string
  milliseconds: number
}

export interface ExchangeOptions {
  /** When the server is silent for so long, the answer is what has come until then. */
  silenceMs?: number
  /** Goes on reading after the answer is whole, to see whether there is another. */
  lingerMs?: number
  /** The answer to HEAD has the headers of a body that does not come. */
  bodyless?: boolean
  /** Tells the server that no more comes. */
  end?: boolean
}

export interface Exchange extends RawAnswer {
  /** All that came, also after the first answer. */
  raw: string
  /** Who ended it: `hung` when nobody did. */
  ended: 'answered' | 'closed' | 'hung'
}

/** What no HTTP client would send: these lines, then this body, then nothing. Resolves when the answer is whole, the server closes, or is silent for too long. */
export async function send(
  url: string,
  lines: string[],
  body: string | Buffer,
  silenceMs = 20_000,
): Promise<RawAnswer> {
  return exchange(url, Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), Buffer.from(body)]), { silenceMs })
}

/** Sends bytes as they are, over a connection of their own. */
export async function exchange(
  url: string,
  bytes: Buffer,
  { silenceMs = 20_000, lingerMs = 0, bodyless = false, end = false }: ExchangeOptions = {},
): Promise<Exchange> {
  const { hostname, port } = new URL(url)
  const started = performance.now()
  const socket = connect(Number(port), hostname)
  const received: Buffer[] = []
  let milliseconds = Number.POSITIVE_INFINITY
  let ended: Exchange['ended'] = 'closed'
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  socket.on('close', () => resolve())
  // A server that refuses a request may reset what is still being sent to it.
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    received.push(chunk)
    milliseconds = Math.min(milliseconds, performance.now() - started)
    if (ended === 'answered' || !isWhole(parse(Buffer.concat(received).toString('utf8')), bodyless)) return
    ended = 'answered'
    setTimeout(() => socket.destroy(), lingerMs)
  })
  const silence = setTimeout(() => {
    if (ended !== 'answered') ended = 'hung'
    socket.destroy()
  }, silenceMs)
  if (end) socket.end(bytes)
  else socket.write(bytes)
  await closed
  clearTimeout(silence)
  const raw = Buffer.concat(received).toString('utf8')
  return { ...parse(raw), milliseconds, raw, ended }
}

/** One byte after another, and never the last: ends when the server ends it. */
export async function trickle(url: string, start: string, everyMs = 150): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const started = performance.now()
  const socket = connect(Number(port), hostname)
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk
  })
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  socket.on('error', () => socket.destroy())
  socket.on('close', () => resolve())
  // The beginning at once, so that what is slow is the part that the test is about.
  socket.write(start)
  const timer = setInterval(() => socket.write('a'), everyMs)
  await closed
  clearInterval(timer)
  return { ...parse(received), milliseconds: performance.now() - started }
}

/** An answer whose connection may stay open. */
function isWhole({ status, headers, text, head }: Parsed, bodyless: boolean): boolean {
  if (!head) return false
  if (bodyless || status === 204 || status === 304) return true
  // It goes on until its reader leaves.
  if (headers.get('Content-Type')?.startsWith('text/event-stream')) return text !== ''
  const length = headers.get('Content-Length')
  return length !== null && Buffer.byteLength(text) >= Number(length)
}

interface Parsed extends Omit<RawAnswer, 'milliseconds'> {
  /** True when its headers are whole. */
  head: boolean
}

function parse(answer: string): Parsed {
  // `100 Continue` comes before the answer.
  const final = answer.replace(/^(?:HTTP\/1\.1 1\d\d [^\r]*\r\n(?:[^\r]+\r\n)*\r\n)+/, '')
  const end = final.indexOf('\r\n\r\n')
  const [first = '', ...fields] = final.slice(0, Math.max(end, 0)).split('\r\n')
  const headers = new Headers(
    fields.map((field): [string, string] => [field.split(':')[0] ?? '', field.slice(field.indexOf(':') + 1).trim()]),
  )
  const rest = Buffer.from(end < 0 ? '' : final.slice(end + 4))
  // After it may come the answer to what the server took for another request.
  const text = rest.subarray(0, Number(headers.get('Content-Length') ?? rest.length)).toString('utf8')
  return { status: Number(first.split(' ')[1] ?? 0), headers, text, head: end >= 0 }
}
