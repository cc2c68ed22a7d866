import { createLogger, format, type Logger, transports } from 'winston'
import type { Config } from './config/schema.ts'

export type { Logger } from 'winston'

/** Writes to standard error: standard output is what a command answers. Callers pass fields, never secrets. */
export function createLog(config: Pick<Config, 'logLevel' | 'logFormat'>): Logger {
  const text = format.printf(({ timestamp, level, message, stack, ...fields }) => {
    const rest = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(
        ([key, value]) =>
          ` ${key}=${typeof value === 'string' && /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value)}`,
      )
      .join('')
    return `${timestamp} ${level.padEnd(5)} ${message}${rest}${stack ? `\n${stack}` : ''}`
  })
  return createLogger({
    level: config.logLevel,
    format: format.combine(
      errorFields(),

      format.timestamp(),
      format.errors({ stack: true }),
      config.logFormat === 'json' ? format.json() : text,
    ),
    transports: [new transports.Stream({ stream: process.stderr })],
  })
}

/** An error in a field would lose what it says: its properties are not enumerable. */
const errorFields = format((info) => {
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
