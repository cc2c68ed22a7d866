/** How many errors are told, and how much of each: the last say what stopped the tool. */
const maximumProblems = 3
const maximumLength = 300
/** How much is kept of what it said last, to judge by. */
const keptLines = 20

const copyContext = /^CONTEXT:\s+(COPY .+?, line \d+)\b/

/**
 * Gathers the errors of psql and pg_restore from what they write, line by line, and nothing that shows the data: a DETAIL names keys, a CONTEXT of
 * COPY shows whole values, "Command was" a whole statement.
 */
export class ToolMessages {
  readonly #problems: string[] = []
  readonly #last: string[] = []

  add(line: string): void {
    this.#last.push(line)
    if (this.#last.length > keptLines) this.#last.shift()
    const context = copyContext.exec(line)?.[1]
    const last = this.#problems.length - 1
    if (context !== undefined && last >= 0) this.#problems[last] = `${this.#problems[last]} (${cut(context)})`
    const problem = readProblem(line)
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
function readProblem(line: string): string | undefined {
  const script = /^psql:[^:]*:(\d+): (?:ERROR|FATAL|PANIC|error):\s+(.*)$/.exec(line)
  if (script) return `line ${script[1]}: ${script[2]}`
  const told =
    /^(?:(?:psql|pg_restore|pg_dump|pg_basebackup): *)+(?:error|detail): (?:could not execute query: ERROR:\s+)?(.*)$/.exec(
      line,
    )?.[1]
  return told?.startsWith('Command was:') ? undefined : told
}

function cut(text: string): string {
  return text.length <= maximumLength ? text : `${text.slice(0, maximumLength)}…`
}
