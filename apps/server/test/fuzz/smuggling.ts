import fc from 'fast-check'
import { UNTOUCHED } from './requests.ts'
import { MARK } from './values.ts'

export interface Smuggled {
  headers: readonly string[]
  body: string
}

const BODY = `{"name":"${MARK}"}`

/** A request in whose body another one hides, for a server that reads the lengths in another way than a proxy before it. */
export const smuggled: fc.Arbitrary<Smuggled> = fc
  .tuple(
    fc.constantFrom(
      ['Content-Length: SHORT', 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: chunked', 'Content-Length: SHORT'],
      ['Content-Length: SHORT', 'Transfer-Encoding : chunked'],
      ['Content-Length: SHORT', 'Transfer-Encoding:\tchunked'],
      ['Content-Length: SHORT', 'Transfer-Encoding: xchunked'],
      ['Content-Length: SHORT', 'Transfer-Encoding: chunked, identity'],
      ['Content-Length: SHORT', 'Transfer-Encoding: identity, chunked'],
      ['Content-Length: SHORT', 'Transfer-Encoding: \u000bchunked'],
      ['Content-Length: SHORT', 'X: y\rTransfer-Encoding: chunked'],
      ['Content-Length: SHORT', 'X: y\nTransfer-Encoding: chunked'],
      ['Content-Length: SHORT', ' Transfer-Encoding: chunked'],
      ['Content-Length: SHORT', 'Content-Length: LONG'],
      ['Content-Length: LONG', 'Content-Length: SHORT'],
      ['Content-Length: SHORT, LONG'],
      ['Content-Length: +SHORT'],
      ['Content-Length: 0xF'],
      ['Content-Length: -1'],
      ['Content-Length: SHORT '.concat('\u0000')],
      ['Content-Length: 1e1'],
      [`Content-Length: ${'9'.repeat(30)}`],
      ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
      ['Transfer-Encoding: chunked;q=1'],
      ['Transfer-Encoding: chun', ' ked'],
    ),
    fc.constantFrom(
      '0\r\n\r\n',
      `${BODY}`,
      `f\r\n${BODY.slice(0, 15)}\r\n0\r\n\r\n`,
      '0;a=b\r\nX: y\r\n\r\n',
      '-1\r\n\r\n',
    ),
  )
  .map(([headers, body]) => ({ headers, body }))

/** Its bytes, with what must not be done behind it. */
export function renderSmuggled({ headers, body }: Smuggled, token: string, id: string): Buffer {
  const json = JSON.stringify({ name: `smuggled ${id}` })
  const common = ['Host: lab', `Authorization: Bearer ${token}`, 'Content-Type: application/json']
  const hidden = [`PATCH /clone/${UNTOUCHED[1]} HTTP/1.1`, ...common, `Content-Length: ${json.length}`, '', json]
  const inside = `${body}${hidden.join('\r\n')}`
  const lengths = headers.map((header) =>
    header.replace('SHORT', String(body.length)).replace('LONG', String(inside.length)),
  )
  const head = ['POST /clone HTTP/1.1', ...common, ...lengths, '', '']
  return Buffer.from(head.join('\r\n') + inside.replaceAll(MARK, `Canary${id}`), 'latin1')
}
