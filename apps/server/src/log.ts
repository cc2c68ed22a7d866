import { inspect } from 'node:util'
import { createLogger, format, type Logger, transports } from 'winston'
import type { Config } from './config/schema.ts'

export type { Logger } from 'winston'

/** Writes to standard error: standard output is what a command answers. Callers pass fields, never secrets. */
export function createLog(config: Pick<Config, 'logLevel' | 'logFormat'>): Logger {
  const lines = config.logFormat === 'json' ? format.combine(describedErrors(), format.json()) : format.printf(toText)
  return createLogger({
    level: config.logLevel,
    format: format.combine(format.timestamp(), format.errors({ stack: true }), lines),
    transports: [new transports.Stream({ stream: process.stderr })],
  })
}

/** One line for what happened; below it, indented, all that the errors in it know. */
export function toText({ timestamp, level, message, stack, ...fields }: Record<string, unknown>): string {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  const pairs = given.map(
    ([key, value]) => ` ${key}=${value instanceof Error ? toValue(value.message) : toValue(value)}`,
  )
  const errors = given.flatMap(([, value]) => (value instanceof Error ? [errorText(value)] : []))
  const below = [...(typeof stack === 'string' ? [stack] : []), ...errors].map((text) => `\n${indented(text)}`)
  return `${timestamp} ${String(level).padEnd(5)} ${message}${pairs.join('')}${below.join('')}`
}

function toValue(value: unknown): string {
  return typeof value === 'string' && /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value)
}

/** Its stack, what it carries beside the message, and what caused it. */
function errorText(error: Error): string {
  const { name: _, ...carried } = error
  const parts = [error.stack ?? `${error.name}: ${error.message}`]
  if (Object.keys(carried).length > 0) parts.push(inspect(carried, { breakLength: 120, depth: 4 }))
  if (error.cause !== undefined) parts.push(`caused by ${valueText(error.cause)}`)
  if (error instanceof SuppressedError) {
    parts.push(`raised by ${valueText(error.error)}`, `after ${valueText(error.suppressed)}`)
  }
  return parts.join('\n')
}

function valueText(value: unknown): string {
  return value instanceof Error ? errorText(value) : inspect(value)
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '    ')
}

/** An error in a field would lose what it says: its properties are not enumerable. */
const describedErrors = format((info) => {
  for (const [key, value] of Object.entries(info)) if (value instanceof Error) info[key] = describeError(value)
  return info
})

/** All that an error knows, and what caused it. */
function describeError(error: Error): Record<string, unknown> {
  const { name, message, stack, cause } = error
  const suppressed =
    error instanceof SuppressedError ? { error: describe(error.error), suppressed: describe(error.suppressed) } : {}
  return { ...error, name, message, stack, ...suppressed, ...(cause !== undefined && { cause: describe(cause) }) }
}

function describe(value: unknown): unknown {
  return value instanceof Error ? describeError(value) : value
}
