import { connect } from 'node:net'

export interface RawAnswer {
  status: number
  headers: Headers
  text: string
  milliseconds: number
}

/** What no HTTP client would send: these lines, then this body, then nothing. Resolves when the answer is whole, the server closes, or is silent for too long. */
export async function send(
  url: string,
  lines: string[],
  body: string | Buffer,
  silenceMs = 20_000,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const started = performance.now()
  const socket = connect(Number(port), hostname)
  const received: Buffer[] = []
  let milliseconds = Number.POSITIVE_INFINITY
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  socket.on('close', () => resolve())
  // A server that refuses a request may reset what is still being sent to it.
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    received.push(chunk)
    milliseconds = Math.min(milliseconds, performance.now() - started)
    if (isWhole(parse(Buffer.concat(received).toString('utf8')))) socket.destroy()
  })
  const silence = setTimeout(() => socket.destroy(), silenceMs)
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  socket.write(body)
  await closed
  clearTimeout(silence)
  return { ...parse(Buffer.concat(received).toString('utf8')), milliseconds }
}

/** An answer whose connection may stay open. */
function isWhole({ headers, text }: Omit<RawAnswer, 'milliseconds'>): boolean {
  const length = headers.get('Content-Length')
  return length !== null && Buffer.byteLength(text) >= Number(length)
}

function parse(answer: string): Omit<RawAnswer, 'milliseconds'> {
  const end = answer.indexOf('\r\n\r\n')
  const [first = '', ...fields] = answer.slice(0, Math.max(end, 0)).split('\r\n')
  const headers = new Headers(
    fields.map((field): [string, string] => [field.split(':')[0] ?? '', field.slice(field.indexOf(':') + 1).trim()]),
  )
  return { status: Number(first.split(' ')[1] ?? 0), headers, text: end < 0 ? '' : answer.slice(end + 4) }
}
