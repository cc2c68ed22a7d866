/** GRANT and CREATE DATABASE statements are far shorter; of what is longer, a view's or a row's, the beginning is enough. */
const limitBytes = 16_384

const blank = Buffer.from(' ')

/** The text of the statement that is being read, gathered from chunks. What the reader passes over is left out. */
export class StatementText {
  #pieces: Buffer[] = []
  #bytes = 0
  /** Where the piece begins that is being read; -1 between pieces. */
  #start = -1

  /** What lies from here on belongs to the text, until `cut`. Pieces that touch become one, so that most statements are decoded once. */
  keepFrom(position: number): void {
    if (this.#start === -1) this.#start = position
  }

  /** The text has a gap here, or the chunk ends. */
  cut(chunk: Buffer, position: number): void {
    if (this.#start === -1) return
    const room = Math.max(limitBytes - this.#bytes, 0)
    const piece = chunk.subarray(this.#start, Math.min(position, this.#start + room))
    this.#start = -1
    this.#bytes += piece.length
    if (piece.length > 0) this.#pieces.push(piece)
  }

  addBlank(): void {
    if (this.#bytes >= limitBytes) return
    this.#bytes += blank.length
    this.#pieces.push(blank)
  }

  /** The whole of it, trimmed; the next statement begins empty. */
  take(): string {
    const [first] = this.#pieces
    const text = this.#pieces.length === 1 && first ? first.toString() : Buffer.concat(this.#pieces).toString()
    this.#pieces = []
    this.#bytes = 0
    return text.trim()
  }
}
