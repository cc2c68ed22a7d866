import { StatementText } from './statement-text.ts'

/** What a scanner finds in a script, in the order in which it stands there. Of long ones, the beginning. */
export interface SqlEvents {
  /** One statement without its semicolon. String literals are kept, comments are not. */
  statement?(text: string): void
  /** A `--` comment, without the dashes. */
  comment?(text: string): void
  /** A psql command such as `\connect shop`. */
  metaCommand?(line: string): void
}

/** Where a script ended: anything but `complete` means that its end is missing. */
export type ScriptEnd = 'complete' | 'in COPY data' | 'in a quoted text' | 'in a comment' | 'in a statement'

type State = 'sql' | 'comment' | 'block comment' | 'quote' | 'escape quote' | 'name' | 'dollar' | 'meta' | 'copy'

/** No token that decides anything is longer: a dollar tag is an identifier of up to 63 bytes between two dollar signs. */
const lookaheadBytes = 130
const lineLimitBytes = 4096

const newline = 0x0a
const doubleQuote = 0x22
const dollar = 0x24
const quote = 0x27
const star = 0x2a
const dash = 0x2d
const slash = 0x2f
const semicolon = 0x3b
const backslash = 0x5c
/** 1 for a byte that begins no token that matters here. */
const plain = new Uint8Array(256).fill(1)
for (const byte of [newline, doubleQuote, dollar, quote, dash, slash, semicolon, backslash]) plain[byte] = 0

/**
 * Reads a SQL script as psql's lexer splits it, without holding more of it than the chunk at hand: COPY data, string literals and dollar-quoted
 * bodies are skipped, so nothing in them is taken for a statement.
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html
 */
export class SqlScanner {
  readonly #events: SqlEvents
  #state: State = 'sql'
  #rest: Buffer = Buffer.alloc(0)
  #position = 0
  #limit = 0
  readonly #text = new StatementText()
  /** The two bytes before the chunk. */
  #before = ''
  #commentDepth = 0
  #dollarTag = Buffer.alloc(0)
  #backslashQuotes = false
  #copyFollows = false
  #atLineStart = true
  #line = ''
  #ended = false

  constructor(events: SqlEvents) {
    this.#events = events
  }

  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#scan()
  }

  /** The input is over. Says whether the script was. */
  end(): ScriptEnd {
    this.#ended = true
    this.#scan()
    switch (this.#state) {
      case 'copy':
        return 'in COPY data'
      case 'quote':
      case 'escape quote':
      case 'name':
      case 'dollar':
        return 'in a quoted text'
      case 'block comment':
        return 'in a comment'
      case 'comment':
      case 'meta':
        this.#finishLine()
    }
    return this.#text.take() === '' ? 'complete' : 'in a statement'
  }

  #scan(): void {
    const buffer = this.#rest
    this.#limit = this.#ended ? buffer.length : buffer.length - lookaheadBytes
    this.#position = 0
    while (this.#position < this.#limit) {
      if (this.#state === 'sql') this.#scanSql(buffer)
      else if (this.#state === 'copy') this.#scanCopy(buffer)
      else if (this.#state === 'comment' || this.#state === 'meta') this.#scanLine(buffer)
      else if (this.#state === 'block comment') this.#scanBlockComment(buffer)
      else if (this.#state === 'dollar') this.#scanDollar(buffer)
      else if (this.#state === 'escape quote') this.#scanEscapeQuote(buffer)
      else this.#scanQuote(buffer)
    }
    this.#text.cut(buffer, this.#position)
    this.#before = this.#charactersBefore(buffer)
    this.#rest = buffer.subarray(this.#position)
  }

  #scanSql(buffer: Buffer): void {
    const start = this.#position
    let position = start
    while (position < this.#limit && plain[buffer[position] ?? 0] === 1) position++
    if (position > start) this.#text.keepFrom(start)
    this.#position = position
    if (position < this.#limit) this.#scanToken(buffer, buffer[position] ?? 0, buffer[position + 1] ?? 0)
  }

  #scanToken(buffer: Buffer, character: number, next: number): void {
    if (character === newline) this.#endSqlLine(buffer)
    else if (character === semicolon) this.#endStatement(buffer)
    else if (character === dash && next === dash) this.#enterComment(buffer, 'comment')
    else if (character === slash && next === star) this.#enterComment(buffer, 'block comment')
    else if (character === backslash) this.#enterMeta(buffer)
    else if (character === dollar) this.#scanDollarSign(buffer)
    else if (character === doubleQuote) this.#enterKeeping('name')
    else if (character === quote) this.#enterKeeping(this.#opensEscapes(buffer) ? 'escape quote' : 'quote')
    else this.#keepAndPass(1)
  }

  #endSqlLine(buffer: Buffer): void {
    this.#keepAndPass(1)
    if (!this.#copyFollows) return
    this.#copyFollows = false
    this.#enterCopy(buffer)
  }

  #endStatement(buffer: Buffer): void {
    this.#text.cut(buffer, this.#position)
    const text = this.#text.take()
    this.#position++
    if (text === '') return
    if (/^copy\s[\s\S]*\sfrom\s+stdin\b/i.test(text)) this.#copyFollows = true
    const strings = /^set\s+(?:session\s+|local\s+)?standard_conforming_strings\s*(?:=|to)\s*'?(\w+)/i.exec(text)?.[1]
    if (strings !== undefined) this.#backslashQuotes = /^(off|false|no|0)$/i.test(strings)
    this.#events.statement?.(text)
  }

  /** `E'…'` knows backslashes; so does a plain literal while `standard_conforming_strings` is off. */
  #opensEscapes(buffer: Buffer): boolean {
    if (this.#backslashQuotes) return true
    return /(^|[^\w$\x80-\xff])e$/i.test(this.#charactersBefore(buffer))
  }

  #scanDollarSign(buffer: Buffer): void {
    const ahead = buffer.toString('latin1', this.#position, this.#position + lookaheadBytes)
    const tag = /^\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$/.exec(ahead)?.[0]
    // `a$b$c` is an identifier: a dollar sign inside one opens nothing.
    const opens = tag !== undefined && !/[\w\x80-\xff$]$/.test(this.#charactersBefore(buffer))
    this.#keepAndPass(opens ? tag.length : 1)
    if (!opens) return
    this.#text.cut(buffer, this.#position)
    this.#dollarTag = Buffer.from(tag, 'latin1')
    this.#state = 'dollar'
  }

  #scanDollar(buffer: Buffer): void {
    const found = buffer.indexOf(this.#dollarTag, this.#position)
    if (found === -1 || found >= this.#limit) {
      this.#position = this.#limit
      return
    }
    this.#position = found
    this.#keepAndPass(this.#dollarTag.length)
    this.#state = 'sql'
  }

  #scanQuote(buffer: Buffer): void {
    const end = buffer.indexOf(this.#state === 'name' ? doubleQuote : quote, this.#position)
    const stop = end === -1 || end >= this.#limit ? this.#limit : end
    this.#text.keepFrom(this.#position)
    this.#position = stop
    if (stop !== end) return
    // A doubled quote closes and opens at once, which comes to the same state.
    this.#keepAndPass(1)
    this.#state = 'sql'
  }

  #scanEscapeQuote(buffer: Buffer): void {
    let position = this.#position
    while (position < this.#limit) {
      const character = buffer[position]
      if (character === backslash) position += 2
      else if (character === quote && buffer[position + 1] === quote) position += 2
      else if (character === quote) break
      else position++
    }
    const closed = position < this.#limit
    const stop = Math.min(closed ? position + 1 : position, buffer.length)
    this.#text.keepFrom(this.#position)
    this.#position = stop
    if (closed) this.#state = 'sql'
  }

  #scanBlockComment(buffer: Buffer): void {
    let position = this.#position
    while (position < this.#limit && this.#commentDepth > 0) {
      const pair = buffer[position] === star && buffer[position + 1] === slash
      const opens = buffer[position] === slash && buffer[position + 1] === star
      if (pair) this.#commentDepth--
      else if (opens) this.#commentDepth++
      position += pair || opens ? 2 : 1
    }
    this.#position = position
    if (this.#commentDepth === 0) this.#state = 'sql'
  }

  #scanLine(buffer: Buffer): void {
    const end = buffer.indexOf(newline, this.#position)
    const stop = end === -1 || end >= this.#limit ? this.#limit : end
    if (this.#line.length < lineLimitBytes) this.#line += buffer.toString('latin1', this.#position, stop)
    this.#position = stop
    if (stop === end) this.#finishLine()
  }

  #finishLine(): void {
    const line = Buffer.from(this.#line, 'latin1').toString('utf8').trim()
    this.#line = ''
    const state = this.#state
    this.#state = 'sql'
    if (state === 'comment') this.#events.comment?.(line)
    else this.#events.metaCommand?.(line)
    // Its data begins with the next line; this line's end is still ahead.
    if (state === 'meta' && /^\\copy\s.*\sfrom\s+p?stdin\b/i.test(line)) this.#copyFollows = true
  }

  #enterMeta(buffer: Buffer): void {
    this.#text.cut(buffer, this.#position)
    this.#line = ''
    this.#state = 'meta'
  }

  #enterCopy(buffer: Buffer): void {
    this.#text.cut(buffer, this.#position)
    this.#state = 'copy'
    this.#atLineStart = true
  }

  #scanCopy(buffer: Buffer): void {
    // The end of data is a line of its own.
    const ahead = this.#atLineStart ? buffer.toString('latin1', this.#position, this.#position + 4) : ''
    const length = /^\\\.(?:\r?\n|\r?$)/.exec(ahead)?.[0].length
    if (length !== undefined) {
      this.#position += length
      this.#state = 'sql'
      return
    }
    const marker = buffer.indexOf('\n\\.', this.#position)
    this.#atLineStart = marker !== -1 && marker < this.#limit
    this.#position = this.#atLineStart ? marker + 1 : this.#limit
  }

  /** A comment stands for a blank. */
  #enterComment(buffer: Buffer, state: 'comment' | 'block comment'): void {
    this.#text.cut(buffer, this.#position)
    this.#text.addBlank()
    this.#position += 2
    this.#commentDepth = 1
    this.#line = ''
    this.#state = state
  }

  #enterKeeping(state: State): void {
    this.#state = state
    this.#keepAndPass(1)
  }

  #keepAndPass(width: number): void {
    this.#text.keepFrom(this.#position)
    this.#position += width
  }

  /** The two characters before the position, of which the chunk before may hold some. */
  #charactersBefore(buffer: Buffer): string {
    const here = buffer.toString('latin1', Math.max(0, this.#position - 2), this.#position)
    return here.length === 2 ? here : (this.#before + here).slice(-2)
  }
}
