import fc from 'fast-check'
import { withField, withMore, withoutField } from './body.ts'
import type { Operation } from './document.ts'
import type { FuzzRequest } from './requests.ts'
import { ID_MARK, MARK, nastyEscape, nastyHeader, nastyJson, nastyText, poisonedName } from './values.ts'

type Mutation = (request: FuzzRequest) => FuzzRequest

/** One thing done to a request of this operation. */
export function mutation({ query, headers, fields }: Operation): fc.Arbitrary<Mutation> {
  return fc.oneof(
    { weight: fields ? 10 : 1, arbitrary: bodyMutation(fields ?? [['db'], ['name']]) },
    { weight: 4, arbitrary: pathMutation },
    { weight: 4, arbitrary: queryMutation(query) },
    { weight: 6, arbitrary: headerMutation(headers) },
    { weight: 2, arbitrary: methodMutation },
    { weight: 1, arbitrary: wireMutation },
  )
}

function bodyMutation(fields: string[][]): fc.Arbitrary<Mutation> {
  const field = fc.constantFrom(...fields)
  const change = (edit: (body: NonNullable<FuzzRequest['body']>) => FuzzRequest['body']): Mutation => {
    return (request) => ({
      ...request,
      body: edit(request.body ?? { entries: [] }),
      framing: request.framing === 'none' ? 'length' : request.framing,
    })
  }
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(field, nastyJson)
        .map(([path, text]) => change((body) => withField(body, path, safe(path, text)))),
    },
    { weight: 1, arbitrary: field.map((path) => change((body) => withoutField(body, path))) },
    {
      weight: 2,
      arbitrary: fc.tuple(poisonedName, nastyJson).map(([name, text]) => change((body) => withMore(body, name, text))),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(field, nastyJson)
        .map(([path, text]) => change((body) => withMore(body, path[0] ?? '', safe(path, text)))),
    },
    { weight: 1, arbitrary: nastyJson.map((text) => change(() => ({ text }))) },
    { weight: 1, arbitrary: nastyText.map((text) => change(() => ({ text }))) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(200, 8000).map((count) =>
        change((body) => {
          const more = Array.from({ length: count }, (_, n): [string, { text: string }] => [`f${n}`, { text: '1' }])
          return { entries: [...('entries' in body ? body.entries : []), ...more] }
        }),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom('latin1', 'utf16le', 'gzip', 'gzip cut short', 'deflate').map(
        (bodyAs): Mutation =>
          (request) => ({ ...request, bodyAs }),
      ),
    },
  )
}

/** The clones are kept from being unprotected by luck: then they could go by luck, too. */
function safe(path: readonly string[], text: string): string {
  return path[0] === 'protected' && text === 'false' ? 'true' : text
}

const pathMutation: fc.Arbitrary<Mutation> = fc.oneof(
  nastyEscape.map(
    (text): Mutation =>
      (request) =>
        onPath(request, (path) => path.replace(/[^/]*$/, text)),
  ),
  nastyEscape.map(
    (text): Mutation =>
      (request) =>
        onPath(request, (path) => `${path}/${text}`),
  ),
  fc
    .constantFrom<(path: string) => string>(
      (path) => `${path}/`,
      (path) => `/${path}`,
      (path) => path.toUpperCase(),
      (path) => `/docs/../${path}`,
      () => `/docs/..%2f..%2f${MARK}`,
      () => `/docs/${ID_MARK}.js`,
      () => '/docs/package.json%00.png',
      (path) => path.replaceAll('/', '//'),
      (path) => path.slice(0, -1),
      (path) => `http://${MARK}.example${path}`,
      () => '*',
      () => `${MARK}:443`,
      (path) => `${path}#${MARK}`,
      (path) => `${path}\t${MARK}`,
      (path) => `${path} ${MARK}`,
    )
    .map(
      (edit): Mutation =>
        (request) =>
          onPath(request, edit),
    ),
)

function onPath(request: FuzzRequest, edit: (path: string) => string): FuzzRequest {
  const [path = '', ...query] = request.target.split('?')
  return { ...request, target: [edit(path), ...query].join('?') }
}

function queryMutation(known: string[]): fc.Arbitrary<Mutation> {
  const names = fc.oneof(
    fc.constantFrom(...(known.length > 0 ? known : ['wait'])),
    poisonedName.map((name) => encodeURIComponent(name.toWellFormed())),
    fc.constantFrom('wait[]', 'wait[a]', '__proto__[wait]', 'constructor.prototype.x', 'WAIT', ' wait'),
  )
  const values = fc.oneof(
    nastyEscape,
    fc.constantFrom('', '0', '1', '-1', '1.5', '601', '1e3', '0x10', '9'.repeat(400), 'NaN', 'null', 'OK'),
  )
  return fc.array(fc.tuple(names, values), { minLength: 1, maxLength: 3 }).map(
    (pairs): Mutation =>
      (request) => ({
        ...request,
        target: `${request.target}?${pairs.map(([name, value]) => `${name}=${value}`).join('&')}`,
      }),
  )
}

function headerMutation(known: string[]): fc.Arbitrary<Mutation> {
  const nasty = fc.tuple(
    fc.constantFrom(
      ...known.flatMap((name) => [name, name, name]),
      ...['Accept', 'Accept-Encoding', 'Content-Encoding', 'Content-Type', 'Cookie', 'Expect', 'Host', 'If-Match'],
      ...['If-Modified-Since', 'If-None-Match', 'Origin', 'Range', 'Referer', 'TE', 'Trailer', 'Upgrade', 'User-Agent'],
      ...['X-Forwarded-For', 'X-Http-Method-Override', 'X-Original-URL', 'X-Request-Id', '__proto__', 'constructor'],
      ...['Authorization', 'Verification-Token', MARK],
    ),
    nastyHeader,
  )
  return fc.oneof(
    { weight: 5, arbitrary: nasty.map(([name, value]) => setHeader(name, value)) },
    { weight: 2, arbitrary: nasty.map(([name, value]) => addHeader(name, value)) },
    {
      weight: 3,
      arbitrary: fc
        .constantFrom<[string, string]>(
          ['Content-Type', 'text/plain'],
          ['Content-Type', 'application/json; charset=utf-16'],
          ['Content-Type', `application/json; charset=${MARK}`],
          ['Content-Type', 'application/json; charset="'],
          ['Content-Type', 'multipart/form-data; boundary=x'],
          ['Content-Type', 'application/x-www-form-urlencoded'],
          ['Content-Encoding', 'gzip'],
          ['Content-Encoding', 'deflate'],
          ['Content-Encoding', 'br'],
          ['Content-Encoding', 'gzip, gzip'],
          ['Expect', '100-continue'],
          ['Range', 'bytes=0-1,5-9'],
          ['Upgrade', 'websocket'],
          ['Connection', 'Upgrade, HTTP2-Settings'],
          ['Authorization', `Basic ${Buffer.from(MARK).toString('base64')}`],
          ['Authorization', `Bearer ${MARK}`],
          ['Authorization', 'Bearer'],
          ['Host', ''],
          ['Host', 'a b'],
        )
        .map(([name, value]) => setHeader(name, value)),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom('Authorization', 'Host', 'Content-Type').map(
        (name): Mutation =>
          (request) => ({ ...request, headers: request.headers.filter(([other]) => other !== name) }),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(50, 1500).map(
        (count): Mutation =>
          (request) => ({
            ...request,
            headers: [
              ...request.headers,
              ...Array.from({ length: count }, (_, n): [string, string] => [`X-${n}`, MARK]),
            ],
          }),
      ),
    },
  )
}

function setHeader(name: string, value: string): Mutation {
  return (request) => {
    const others = request.headers.filter(([other]) => other.toLowerCase() !== name.toLowerCase())
    return { ...request, headers: [...others, [name, value]] }
  }
}

function addHeader(name: string, value: string): Mutation {
  return (request) => ({ ...request, headers: [...request.headers, [name, value]] })
}

const methodMutation: fc.Arbitrary<Mutation> = fc
  .constantFrom(
    ...['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND', 'M-SEARCH'],
    ...['QUERY', 'get', MARK, 'GE T', '', '\u0000', 'POSTPOSTPOSTPOST'],
  )
  .map(
    (method): Mutation =>
      // A PATCH belongs to one clone alone.
      (request) => ({ ...request, method: method === 'PATCH' && /untouched/.test(request.target) ? 'PUT' : method }),
  )

const wireMutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.constantFrom<FuzzRequest['framing']>('chunked', 'none', 'cut').map(
    (framing): Mutation =>
      (request) => ({ ...request, framing }),
  ),
  fc.constantFrom('HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/9.9', 'http/1.1', '', `HTTP/${MARK}`).map(
    (version): Mutation =>
      (request) => ({ ...request, version }),
  ),
  fc.constantFrom('\n', '\r', '\r\r\n', '\n\r').map(
    (newline): Mutation =>
      (request) => ({ ...request, newline }),
  ),
)
