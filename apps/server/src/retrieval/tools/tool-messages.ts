import { tellable } from './server-sentence.ts'

/** How many errors are told, and how much of each: the last say what stopped the tool. */
const maximumProblems = 3
const maximumLength = 300
/** How much is kept of what it said last, to judge by. */
const keptLines = 20

const copyContext = /^CONTEXT:\s+(COPY .+?, line \d+)\b/
const archiveEntry = /^pg_restore: from TOC entry \d+; \d+ \d+ (.*)$/
const LEFT_OUT = 'whose text may quote the data and is left out'

/**
 * Gathers the errors of psql and pg_restore from what they write, line by line, and nothing that shows the data: a DETAIL names keys, a CONTEXT of
 * COPY shows whole values, "Command was" a whole statement, and of the server's sentences only those are told that are known to quote nothing.
 */
export class ToolMessages {
  readonly #problems: string[] = []
  readonly #last: string[] = []
  /** What pg_restore was at. */
  #entry: string | undefined

  add(line: string): void {
    this.#last.push(line)
    if (this.#last.length > keptLines) this.#last.shift()
    const context = copyContext.exec(line)?.[1]
    const last = this.#problems.length - 1
    if (context !== undefined && last >= 0) this.#problems[last] = `${this.#problems[last]} (${cut(context)})`
    this.#entry = archiveEntry.exec(line)?.[1] ?? this.#entry
    const problem = readProblem(line, this.#entry)
    if (problem === undefined) return
    this.#problems.push(cut(problem))
    if (this.#problems.length > maximumProblems) this.#problems.shift()
  }

  /** The errors, oldest first, as one line. */
  summary(): string {
    return this.#problems.length === 0 ? 'it gave no reason' : this.#problems.join('; ')
  }

  /**
   * Whether it gave such a reason. Parts of a tool that fail at once write into each other's lines, of which then none is told.
   *
   * @param pattern of what no value of the data says
   */
  say(pattern: RegExp): boolean {
    return this.#last.some((line) => pattern.test(line))
  }
}

/** The errors among these lines. */
export function lastProblem(lines: readonly string[]): string {
  const messages = new ToolMessages()
  for (const line of lines) messages.add(line)
  return messages.summary()
}

/** `psql:<stdin>:12: ERROR:  …`, `pg_dump: error: …` or `pg_restore: error: could not execute query: ERROR:  …`. */
function readProblem(line: string, entry: string | undefined): string | undefined {
  const [, number, by, text = ''] = /^psql:[^:]*:(\d+): (ERROR|FATAL|PANIC|error):\s+(.*)$/.exec(line) ?? []
  if (number !== undefined) return `line ${number}: ${by === 'error' ? wordsOfPsql(text) : wordsOfServer(text)}`
  const [, tool, told] = /^(?:(psql|pg_restore|pg_dump|pg_basebackup): *)+(?:error|detail): (.*)$/.exec(line) ?? []
  if (told === undefined || told.startsWith('Command was:')) return undefined
  // It shows no rows.
  if (tool === 'pg_basebackup') return told
  const [, where, sentence] = /^(.*?)ERROR:\s+(.*)$/.exec(told) ?? []
  if (where === undefined || sentence === undefined) return told
  const words = wordsOfServer(sentence, entry)
  return where === 'could not execute query: ' ? words : `${where}ERROR:  ${words}`
}

/** With psql's VERBOSITY=verbose, the state stands before the sentence. */
function wordsOfServer(text: string, entry?: string): string {
  const [, state, sentence = ''] = /^(?:([0-9A-Z]{5}): )?(.*)$/.exec(text) ?? []
  const words = tellable(sentence)
  if (words !== undefined) return words
  const what = state === undefined ? 'an error' : `SQLSTATE ${state}`
  return `${what}${entry === undefined ? '' : ` at ${JSON.stringify(entry)}`}, ${LEFT_OUT}`
}

/** "invalid command" shows a line of the script, which may be a row. */
function wordsOfPsql(text: string): string {
  if (/^(?:\\\w+: )?connection to server /.test(text)) return text
  return /^invalid command/.exec(text)?.[0] ?? `an error of psql's, ${LEFT_OUT}`
}

function cut(text: string): string {
  return text.length <= maximumLength ? text : `${text.slice(0, maximumLength)}…`
}
