import type { paths } from './schema.gen.ts'

type Method = 'get' | 'put' | 'post' | 'delete' | 'patch' | 'head' | 'options' | 'trace'

type NamesAt<P extends keyof paths & string, M extends Method = Method> = M extends Method
  ? [Exclude<paths[P][M], undefined>] extends [never]
    ? never
    : `${Uppercase<M>} ${P}`
  : never

/** Their answers are no JSON: of the one, which does not end, `lab.events()` makes events; the other is Prometheus' to read. */
type Uncallable = 'GET /events' | 'GET /metrics'

/** Every operation of the API by its name, such as `'GET /clone/{id}'`: straight from the server's document. */
export type OperationName = Exclude<{ [P in keyof paths & string]: NamesAt<P> }[keyof paths & string], Uncallable>

type OperationOf<N extends OperationName> = N extends `${infer M} ${infer P extends keyof paths & string}`
  ? Exclude<paths[P][Lowercase<M> & Method], undefined>
  : never

type Content<T> = T extends { content: { 'application/json': infer Json } } ? Json : undefined

/** For who keeps answers: whoever calls wants the answer itself. */
type Unsent = 'If-None-Match'

/** The groups of parameters (path, query, header) that an operation has; the others are not there. */
type Parameters<O> = O extends { parameters: infer P }
  ? { [K in keyof P as [NamesIn<Exclude<P[K], undefined>>] extends [never] ? never : K]: P[K] }
  : never

type NamesIn<T> = [T] extends [never] ? never : Exclude<keyof T, Unsent>

type RequestBody<O> = O extends { requestBody: infer B }
  ? { body: Content<B> }
  : O extends { requestBody?: infer B }
    ? [Exclude<B, undefined>] extends [never]
      ? unknown
      : { body?: Content<Exclude<B, undefined>> }
    : never

/** As an object type without members would, an operation without parameters would otherwise take anything. */
type Closed<T> = keyof T extends never ? Record<string, never> : T

/** What an operation takes: `{ path, query, header, body }`, of each what it declares. */
export type Input<N extends OperationName> = Closed<Parameters<OperationOf<N>> & RequestBody<OperationOf<N>>>

type Success = 200 | 201 | 202 | 203 | 204 | 205 | 206

/** What an operation answers when it succeeds; `undefined` for an answer without a body. */
export type Answer<N extends OperationName> =
  OperationOf<N> extends { responses: infer R } ? Content<R[keyof R & Success]> : never
