import { LabApiError, type RequestContext } from './errors.ts'
import type { TransportResponse } from './transport.ts'

/** How much of an answer that is not the lab's goes into an error, in characters: enough for a proxy's title line. */
const EXCERPT_LENGTH = 200

const FOREIGN_HINT = 'The answer is not the lab’s: check the address, and the proxy in front of it.'

/**
 * The JSON of a successful answer; undefined for one without a body.
 *
 * @param secrets never to be shown, should a foreign answer echo them
 * @throws LabApiError for every other answer, also for a successful one that is not JSON
 */
export function readAnswer(context: RequestContext, response: TransportResponse, secrets: readonly string[]): unknown {
  const { status, body } = response
  const success = status >= 200 && status < 300
  if (success && (status === 204 || status === 205)) return undefined
  const json = parseJson(body)
  if (success && json !== undefined) return json.value
  throw refusal(context, response, secrets)
}

/** What an answer that is not the one that was asked for says. */
export function refusal(context: RequestContext, response: TransportResponse, secrets: readonly string[]): LabApiError {
  return new LabApiError({
    ...context,
    status: response.status,
    retryAfterSeconds: retryAfter(response.header('retry-after')),
    ...describe(parseJson(response.body)?.value, response, secrets),
  })
}

function describe(value: unknown, response: TransportResponse, secrets: readonly string[]) {
  const field = (name: string) => {
    const text = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
    return typeof text === 'string' && text !== '' ? text : undefined
  }
  const rawCode = field('code')
  const requestId = field('requestId') ?? response.header('x-request-id')
  if (rawCode === undefined) {
    const title = `HTTP ${response.status}`
    return { rawCode, title, hint: FOREIGN_HINT, detail: excerpt(response.body, secrets), requestId }
  }
  return { rawCode, title: field('name') ?? rawCode, hint: field('hint') ?? '', detail: field('detail'), requestId }
}

function parseJson(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** One line without markup or control characters, which could steer a terminal. */
function excerpt(text: string, secrets: readonly string[]): string | undefined {
  // Secrets first: cut or stripped of what looks like markup, they would not be found any more.
  const safe = secrets.filter(Boolean).reduce((rest, secret) => rest.replaceAll(secret, '[hidden]'), text)
  // Only what could be shown is worked on: a body may be large.
  const line = safe
    .slice(0, 20 * EXCERPT_LENGTH)
    .replace(/<(script|style)\b.*?<\/\1\s*>/gis, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/[\s\p{C}]+/gu, ' ')
    .trim()
  return line.length > EXCERPT_LENGTH ? `${line.slice(0, EXCERPT_LENGTH)}…` : line || undefined
}

/** In seconds, whether it came as seconds or as a date. */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  if (/^\d+$/.test(header.trim())) return Number(header)
  const time = Date.parse(header)
  return Number.isNaN(time) ? undefined : Math.max(0, Math.ceil((time - Date.now()) / 1000))
}
