import { hash } from 'node:crypto'
import type { RequestHandler } from 'express'
import { LongAnswers } from './long-answers.ts'

/** Of what can't change any more, so that it is digested once. */
const digests = new WeakMap<object, string>()
const longAnswers = new LongAnswers()

/**
 * For answers that are asked for again and again: they get an ETag, and whoever names it in `If-None-Match` is answered 304, without a body. It comes of what
 * the answer holds, and of nothing that could forget a change; parts of it that are frozen, which must be so through and through, have
 * their digest from the last time, so that a 304 costs little however long the list.
 *
 * Clients may keep such answers, and must ask each time whether they still hold.
 */
export const conditional: RequestHandler = (request, response, next) => {
  const json = response.json.bind(response)
  response.json = (body) => {
    if (response.statusCode !== 200) return json(body)
    const tag = etagOf({ body, link: response.get('Link') ?? '' })
    response.setHeader('ETag', tag)
    response.setHeader('Cache-Control', 'private, no-cache')
    if (names(request.get('If-None-Match'), tag)) return response.status(304).end()
    return response.type('json').send(longAnswers.bytesOf(body, tag))
  }
  next()
}

/** Weak: a proxy that packs an answer makes other bytes of it. */
function etagOf(answer: object): string {
  return `W/"${digestOf(answer)}"`
}

function digestOf(value: object): string {
  const known = digests.get(value)
  if (known !== undefined) return known
  // 132 bits: nobody finds two that are alike.
  const digest = hash('sha256', textOf(value), 'base64url').slice(0, 22)
  if (isFixed(value)) digests.set(value, digest)
  return digest
}

/** No field of an answer is a text here and an object there: a digest in place of a part stands for nothing else. */
function textOf(value: object): string {
  if (isFixed(value)) return JSON.stringify(value)
  return JSON.stringify(value, (_key, part: unknown) => (isFixed(part) ? digestOf(part) : part))
}

function isFixed(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.isFrozen(value)
}

/**
 * RFC 9110, 13.1.2. Express's own (`request.fresh`) takes `Cache-Control: no-cache` for a wish not to be answered 304, and that is what `fetch` sends along
 * with an `If-None-Match` of one's own.
 */
function names(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false
  const bare = (one: string) => one.trim().replace(/^W\//, '')
  return header.trim() === '*' || header.split(',').some((one) => bare(one) === bare(tag))
}
