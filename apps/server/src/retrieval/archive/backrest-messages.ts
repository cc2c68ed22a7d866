/** Enough for what went wrong, and where. */
const MOST_LINES = 4
const MOST_CHARACTERS = 300

/** Gathers the errors of pgBackRest from its log, in which lines that go on are indented. */
export class BackRestMessages {
  readonly #clean: (text: string) => string
  #lines: string[] = []
  #goesOn = false
  /** The number of the last error (pgBackRest, src/build/error/error.yaml). */
  code: number | undefined

  /** @param clean takes out what may not be shown, before anything is cut: what is left of a secret that was cut would not be known for it */
  constructor(clean: (text: string) => string = (text) => text) {
    this.#clean = clean
  }

  add(line: string): void {
    const [, level, text = ''] = /^(?:\S+ \S+ )?(?:P\d+ +)?(ERROR|WARN|INFO|DETAIL): (.*)$/.exec(line) ?? []
    if (level === undefined) {
      if (this.#goesOn && /^\s/.test(line)) this.#lines.push(line.trim())
      return
    }
    this.#goesOn = level === 'ERROR'
    if (!this.#goesOn) return
    const [, code, rest = text] = /^\[(\d{3})\]: (.*)$/.exec(text) ?? []
    if (code !== undefined) this.code = Number(code)
    this.#lines = [rest]
  }

  /** The last error, as one line. */
  summary(): string {
    const words = this.#lines.filter((line) => !line.startsWith('HINT: ')).slice(0, MOST_LINES)
    return words.length === 0 ? 'it gave no reason' : words.map((line) => cut(this.#clean(line))).join('; ')
  }

  /** What pgBackRest says could be done about it; empty for nothing. */
  advice(): string {
    const hints = this.#lines.filter((line) => line.startsWith('HINT: ')).slice(0, MOST_LINES)
    return hints.map((line) => cut(this.#clean(line.slice('HINT: '.length)))).join(' ')
  }
}

function cut(text: string): string {
  return text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS)}…`
}
