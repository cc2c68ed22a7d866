import type { Clone, LabEvent, Snapshot } from '@dblab/models'
import { eventually, type TestLab } from '../support/lab.ts'

export interface FollowOptions {
  query?: string
  token?: string
  lastEventId?: string
}

/** Reads the events of a lab as any client does that knows HTTP alone, and remembers them. */
export class Follower implements AsyncDisposable {
  readonly events: LabEvent[] = []
  readonly response: Response
  /** Resolves when the server ends the stream, or the connection is cut. */
  readonly ended: Promise<void>
  readonly #controller: AbortController

  private constructor(response: Response, controller: AbortController) {
    this.response = response
    this.#controller = controller
    this.ended = this.#read()
  }

  /** Resolves when the first event, or the answer that refuses, is there. */
  static async open(lab: TestLab, { query = '', token, lastEventId }: FollowOptions = {}): Promise<Follower> {
    const controller = new AbortController()
    const headers = new Headers(lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId })
    const response = await lab.fetch(`/events${query}`, { headers, signal: controller.signal, ...(token && { token }) })
    const follower = new Follower(response, controller)
    if (response.ok && lastEventId === undefined)
      await eventually('it is told to read everything', () => follower.events[0]?.type === 'resync')
    return follower
  }

  get lastEventId(): string | undefined {
    return this.events.at(-1)?.id
  }

  /** The events of one type about one thing. */
  of(type: LabEvent['type'], subject: string): LabEvent[] {
    return this.events.filter((event) => event.type === type && event.subject === subject)
  }

  statuses(id: string): (string | undefined)[] {
    return this.of('clone', id).map(({ action, clone }) => clone?.status.code ?? action)
  }

  async until(what: string, condition: (follower: Follower) => boolean): Promise<void> {
    await eventually(`events say that ${what}`, () => condition(this), 60_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort()
    await this.ended
  }

  async #read(): Promise<void> {
    let text = ''
    try {
      for await (const chunk of this.response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk
        const whole = text.slice(0, text.lastIndexOf('\n\n') + 1)
        text = text.slice(whole.length)
        for (const [, data = ''] of whole.matchAll(/^data: (.*)$/gm)) this.events.push(JSON.parse(data))
      }
    } catch (error) {
      // Cut off: by the test, or with a server that was killed (what undici calls terminated).
      if (!(error instanceof Error && (error.name === 'AbortError' || error.message === 'terminated'))) throw error
    }
  }
}

/** What somebody knows who read the lists once, and has only followed the events since. */
export class Mirror {
  readonly #clones = new Map<string, Clone>()
  readonly #snapshots = new Map<string, Snapshot>()

  constructor(clones: Clone[], snapshots: Snapshot[]) {
    for (const clone of clones) this.#clones.set(clone.id, clone)
    for (const snapshot of snapshots) this.#snapshots.set(snapshot.id, snapshot)
  }

  static async of(lab: TestLab): Promise<Mirror> {
    const read = async (path: string) => (await lab.fetch(path)).json()
    return new Mirror((await read('/clones')) as Clone[], (await read('/snapshots')) as Snapshot[])
  }

  apply({ type, action, subject, clone, snapshot }: LabEvent): void {
    if (type === 'clone') change(this.#clones, subject, action === 'deleted' ? undefined : clone)
    if (type === 'snapshot') change(this.#snapshots, subject, action === 'deleted' ? undefined : snapshot)
  }

  /** In an order that does not depend on how it came to be known. */
  get content(): { clones: Clone[]; snapshots: Snapshot[] } {
    return { clones: sorted(this.#clones), snapshots: sorted(this.#snapshots) }
  }
}

function change<T>(map: Map<string, T>, id: string, value: T | undefined): void {
  if (value === undefined) map.delete(id)
  else map.set(id, value)
}

function sorted<T>(map: Map<string, T>): T[] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)
}
