import { randomBytes } from 'node:crypto'
import type { LabEvent } from '@dblab/models'

/** What is kept for those who come back, in characters: some thousand events. */
const KEPT_CHARACTERS = 4_000_000

/** What somebody has to tell. Its id and its time are the hub's to give. */
export type News = Omit<LabEvent, 'id' | 'at'>

/** Who may hear of it, beside those who hear of everything. */
export interface Concern {
  /** Of a clone: the token that it was made with; null for the first. */
  owner?: string | null
  /** The clone that it is about, or that the snapshot was taken of. */
  clone?: string
}

/** An event as it is kept: written out once for all who read it. */
export interface Told extends Concern {
  number: number
  type: LabEvent['type']
  /** The event as the stream has it. */
  frame: string
}

/**
 * Tells what happens, in one order. Keeps the last of it in memory, so that whoever was cut off can go on; nobody's reading costs memory
 * here. Ids begin with a word that each process has for itself: those of an earlier one are known for it.
 */
export class EventHub {
  readonly #epoch = randomBytes(6).toString('hex')
  readonly #keptCharacters: number
  readonly #listeners = new Set<() => void>()
  readonly #kept: Told[] = []
  #characters = 0
  #last = 0

  constructor({ keptCharacters = KEPT_CHARACTERS }: { keptCharacters?: number } = {}) {
    this.#keptCharacters = keptCharacters
  }

  /** The number of the last event. */
  get last(): number {
    return this.#last
  }

  /** Tells it to all who read, once what runs now has ended. */
  publish(news: News, concern: Concern = {}): void {
    const number = ++this.#last
    const told = { ...concern, number, type: news.type, frame: this.#frame(number, news) }
    this.#kept.push(told)
    this.#characters += told.frame.length
    while (this.#characters > this.#keptCharacters) this.#characters -= this.#kept.shift()?.frame.length ?? 0
    this.wake()
  }

  /** Something was not told, nobody knows what: all who read are to read everything anew. */
  lose(): void {
    this.#last++
    this.#kept.length = 0
    this.#characters = 0
    this.wake()
  }

  /** True where events behind the one with this number are not known any more. */
  hasLost(number: number): boolean {
    return number < this.#last - this.#kept.length
  }

  /** The event behind the one with this number; undefined where there is none yet. */
  next(number: number): Told | undefined {
    return this.#kept[number - (this.#last - this.#kept.length)]
  }

  /** That everything is to be read anew, as of now. */
  resync(): string {
    return this.#frame(this.#last, { type: 'resync', action: 'changed', subject: '' })
  }

  /** The number of the event with this id; undefined for one that this process has not given. */
  numberOf(id: string): number | undefined {
    const [, epoch, digits] = /^([0-9a-f]{12})-(\d{1,15})$/.exec(id) ?? []
    const number = Number(digits)
    return epoch === this.#epoch && number <= this.#last ? number : undefined
  }

  /** The listener is called whenever there may be something to read. Disposing ends that. */
  listen(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  /** Has all who read look again: at what there is, and whether they may still. */
  wake(): void {
    for (const listener of this.#listeners) listener()
  }

  /** https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation: JSON has no line breaks. */
  #frame(number: number, { type, action, subject, ...view }: News): string {
    const id = `${this.#epoch}-${number}`
    const event: LabEvent = { id, type, action, at: new Date().toISOString(), subject, ...view }
    return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(event)}\n\n`
  }
}
