import { readFileSync } from 'node:fs'
import { type History, ROUND_KINDS, STEP_KINDS } from './history.ts'

/** Reads a history that a failure has written. @throws Error that says what is wrong with the file */
export function readHistory(file: string): History {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Error(`${file} can't be read as JSON: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
  if (!Array.isArray(value) || value.length === 0) throw new Error(`${file} holds no history: it is no list of rounds`)
  for (const [index, round] of value.entries()) {
    const wrong = wrongIn(fieldsOf(round))
    if (wrong !== undefined) throw new Error(`${file} holds no history: round ${index + 1} ${wrong}`)
  }
  return value
}

type Fields = Readonly<Record<string, unknown>>

/** None, for what has no fields. */
function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function wrongIn({ kind, blow, scripts }: Fields): string | undefined {
  if (!isOneOf(ROUND_KINDS, kind)) return `is of no kind (${ROUND_KINDS.join(', ')})`
  if (!isBlow(fieldsOf(blow))) return 'has no blow, or one that is none'
  if (!Array.isArray(scripts) || !scripts.every(isScript)) return 'has no scripts, or a step in them that is none'
  return undefined
}

function isBlow({ from, point, action, skip, afterMs }: Fields): boolean {
  if (from === 'outside') return isCount(afterMs)
  const isFault = typeof point === 'string' && isOneOf(['kill', 'throw', 'delay'], action)
  return from === 'inside' && isFault && isCount(skip)
}

function isScript(script: unknown): boolean {
  return Array.isArray(script) && script.every((step) => isStep(fieldsOf(step)))
}

function isStep({ kind, slot, pick, hasty }: Fields): boolean {
  return isOneOf(STEP_KINDS, kind) && isCount(slot) && isCount(pick) && typeof hasty === 'boolean'
}

function isOneOf(all: readonly string[], value: unknown): boolean {
  return typeof value === 'string' && all.includes(value)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
