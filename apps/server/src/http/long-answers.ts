/** A list of all clones, one of the snapshots, the status, and one to spare. */
const MOST = 4
/** Shorter ones are made as fast as they are found. */
const LONG_BYTES = 16_384

/**
 * The text of long answers that were given last. A list of 500 clones is 200 kB of text, and as much again in bytes: made anew for every request, many
 * times a second, it is most of the garbage of the server.
 */
export class LongAnswers {
  /** By tag, the one that was asked for last at the end. */
  readonly #kept = new Map<string, Buffer>()

  /**
   * @param body what is answered
   * @param tag stands for all that it holds: no other body has it
   * @returns JSON, as a text where it is short
   */
  bytesOf(body: unknown, tag: string): Buffer | string {
    const known = this.#kept.get(tag)
    if (known) {
      this.#keep(tag, known)
      return known
    }
    const text = JSON.stringify(body)
    if (text.length < LONG_BYTES) return text
    const bytes = Buffer.from(text)
    this.#keep(tag, bytes)
    return bytes
  }

  #keep(tag: string, bytes: Buffer): void {
    this.#kept.delete(tag)
    this.#kept.set(tag, bytes)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > MOST && oldest !== undefined) this.#kept.delete(oldest)
  }
}
