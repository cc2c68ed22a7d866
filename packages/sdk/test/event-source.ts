import type { ServerResponse } from 'node:http'
import type { LabEvent } from '../src/index.ts'
import type { Received, Streaming } from './stub-lab.ts'

/** Streams of events as a lab sends them, told by a test. `open` is what a StubLab answers with. */
export class EventSource {
  readonly responses: ServerResponse[] = []
  /** In milliseconds, before a stream is opened anew. */
  pauseMs = 10
  /** False for one whose every stream begins with nothing. */
  begins = true
  #number = 0

  /** A StubLab's handler. */
  readonly open = ({ headers }: Received): Streaming => ({
    stream: (response) => {
      this.responses.push(response)
      if (!this.begins) return
      response.write(`retry: ${this.pauseMs}\n\n`)
      const after = /^e1-(\d+)$/.exec(String(headers['last-event-id']))?.[1]
      if (after === undefined) this.#write(response, { type: 'resync' })
      else for (const text of this.#told.slice(Number(after))) response.write(text)
    },
  })
  readonly #told: string[] = []

  /** Those that are open. */
  get isOpen(): boolean {
    return this.#open.length > 0
  }

  tell(event: Partial<LabEvent> & Record<string, unknown>): void {
    this.#number += 1
    this.#told.push(this.#frame(event))
    for (const response of this.#open) response.write(this.#told.at(-1))
  }

  /** What a server says to keep a stream alive. */
  breathe(): void {
    for (const response of this.#open) response.write(': still there\n\n')
  }

  /** As a server does that is stopped, or killed. */
  end(how: 'end' | 'destroy' = 'end'): void {
    for (const response of this.#open) response[how]()
  }

  get #open(): ServerResponse[] {
    return this.responses.filter((response) => !response.writableEnded && !response.destroyed)
  }

  #write(response: ServerResponse, event: Partial<LabEvent>): void {
    response.write(this.#frame(event))
  }

  #frame(event: Partial<LabEvent>): string {
    const id = `e1-${this.#number}`
    const whole = { id, type: 'clone', action: 'changed', at: '2026-01-31T12:00:00.000Z', subject: '', ...event }
    return `id: ${id}\nevent: ${whole.type}\ndata: ${JSON.stringify(whole)}\n\n`
  }
}
