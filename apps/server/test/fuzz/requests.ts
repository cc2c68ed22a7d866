import { deflateSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { type Json, textOf, withField } from './body.ts'
import type { Operation } from './document.ts'
import { mutation } from './mutations.ts'
import { ID_MARK, MARK, marked } from './values.ts'

/** Clones that stand while the requests come. All are protected, so that not even a valid request takes them away. */
export const UNTOUCHED = ['untouched-1', 'untouched-2']
/** The one that a PATCH may change which is valid by luck. */
export const PATCHED = 'patched'

/** A request as it goes over the wire. Printed as it is when a property fails. */
export interface FuzzRequest {
  method: string
  target: string
  version: string
  headers: [name: string, value: string][]
  body: Json | undefined
  bodyAs: 'utf8' | 'latin1' | 'utf16le' | 'gzip' | 'gzip cut short' | 'deflate'
  /** How the body's length is told; `cut` sends half of it, then the end of the stream. */
  framing: 'length' | 'chunked' | 'none' | 'cut'
  newline: string
  /** After all of it: what somebody may take for another request. */
  after: string
}

/** A request that is valid but for one to three things that were done to it. */
export function requests(operations: Operation[], token: string): fc.Arbitrary<FuzzRequest> {
  return fc.oneof(
    ...operations.map((operation) =>
      fc
        .tuple(base(operation, token), fc.array(mutation(operation), { minLength: 1, maxLength: 3 }))
        .map(([request, mutations]) => mutations.reduce((mutated, mutate) => mutate(mutated), request)),
    ),
  )
}

function base({ method, template, fields }: Operation, token: string): fc.Arbitrary<FuzzRequest> {
  const known = method === 'PATCH' ? [PATCHED] : [...UNTOUCHED, PATCHED]
  return fc.constantFrom(...known, ...known, ID_MARK, 'no-such-id').map((id) => ({
    method,
    target: template.replace('{id}', id),
    version: 'HTTP/1.1',
    headers: [
      ['Host', 'lab'],
      ['Connection', 'close'],
      ['Authorization', `Bearer ${token}`],
      ...(fields ? [['Content-Type', 'application/json'] as [string, string]] : []),
    ],
    body: fields && validBody(fields),
    bodyAs: 'utf8',
    framing: fields ? 'length' : 'none',
    newline: '\r\n',
    after: '',
  }))
}

/** What the document asks for and no more, so that each mutation is all that is wrong; clones that name none stay as they are. */
function validBody(fields: string[][]): Json {
  const has = (...path: string[]) => fields.some((field) => field.join('.') === path.join('.'))
  let body: Json = { entries: [] }
  if (has('db')) body = withField(body, ['db', 'username'], '"alice"')
  if (has('db')) body = withField(body, ['db', 'password'], `"${MARK}"`)
  // Of a clone that there is not, since every snapshot costs a moment.
  if (has('cloneId')) body = withField(body, ['cloneId'], `"${ID_MARK}"`)
  if (has('deleteAt')) body = withField(body, ['deleteAt'], '"2999-01-01T00:00:00Z"')
  return body
}

/** The bytes of a request, its marks made its own. */
export function render(request: FuzzRequest, id: string): Buffer {
  const { newline } = request
  const body = request.body && encode(marked(textOf(request.body), id), request.bodyAs)
  const headers = request.headers.map(([name, value]) => `${name}: ${value}`)
  if (body && request.framing !== 'none' && request.framing !== 'chunked')
    headers.push(`Content-Length: ${body.length}`)
  if (body && request.framing === 'chunked') headers.push('Transfer-Encoding: chunked')
  const head = [`${request.method} ${request.target} ${request.version}`.trimEnd(), ...headers, '', ''].join(newline)
  return Buffer.concat([
    Buffer.from(marked(head, id), 'latin1'),
    ...(body ? framed(body, request.framing) : []),
    Buffer.from(marked(request.after, id), 'latin1'),
  ])
}

function framed(body: Buffer, framing: FuzzRequest['framing']): Buffer[] {
  if (framing === 'cut') return [body.subarray(0, body.length / 2)]
  if (framing !== 'chunked') return [body]
  // In two pieces, of which one may be in the middle of a character.
  const pieces = [body.subarray(0, body.length / 2), body.subarray(body.length / 2)].filter((piece) => piece.length > 0)
  const chunk = (piece: Buffer) => [Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]
  return [...pieces.flatMap(chunk), Buffer.from('0\r\n\r\n')]
}

function encode(text: string, as: FuzzRequest['bodyAs']): Buffer {
  if (as === 'utf8' || as === 'latin1' || as === 'utf16le') return Buffer.from(text, as)
  if (as === 'deflate') return deflateSync(text)
  const whole = gzipSync(text)
  return as === 'gzip' ? whole : whole.subarray(0, whole.length - 9)
}
