import type { Clone } from '@dblab/models'
import type { TorturedLab } from './lab.ts'
import type { CloneModel } from './model.ts'
import { Violation } from './violation.ts'

/** The server went away in the middle of a request: whatever was asked may have been done or not. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer'
}

/** What is known of the faults that a lab suffers. */
export interface Circumstances {
  /** A step has been made to fail: then a clone may be FATAL, an operation end in an error, and a reset say that it failed. */
  failuresAllowed: boolean
}

export interface Answer {
  status: number
  body: unknown
  /** Of a refusal or a failure. */
  code: string | undefined
}

/** Asks a lab, and takes nothing for an answer that is none. */
export class Answers {
  readonly around: Circumstances
  readonly #lab: TorturedLab

  constructor(lab: TorturedLab, around: Circumstances) {
    this.#lab = lab
    this.around = around
  }

  /** @throws NoAnswer; Violation for a failure of the server that nothing called for */
  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.#request(method, path, body)
    if (answer.status === 500 && !this.around.failuresAllowed)
      throw new Violation('wrong', `${method} ${path} was answered with 500`)
    const code = (answer.body as { code?: string } | undefined)?.code
    if (code === 'SHUTTING_DOWN') throw new NoAnswer(`${method} ${path}`)
    return { ...answer, code }
  }

  /** What there is to see. @throws NoAnswer; Violation where it is not shown */
  async read<T>(path: string): Promise<T> {
    const { status, body } = await this.ask('GET', path)
    if (status !== 200) throw new Violation('wrong', `GET ${path} was answered with ${status}`)
    return body as T
  }

  /** @throws NoAnswer; Violation for an answer of another status */
  async expect(method: string, path: string, body: unknown, wanted: number): Promise<void> {
    const { status } = await this.ask(method, path, body)
    if (status !== wanted) throw new Violation('wrong', `${method} ${path} was answered with ${status}`)
  }

  async clone({ id }: CloneModel): Promise<Clone | undefined> {
    const { status, body } = await this.ask('GET', `/clone/${id}`)
    return status === 200 ? (body as Clone) : undefined
  }

  async #request(method: string, path: string, body: unknown): Promise<Omit<Answer, 'code'>> {
    try {
      return await this.#lab.request(method, path, body)
    } catch (error) {
      if (error instanceof DOMException && error.name === 'TimeoutError')
        throw new Violation('stuck', `${method} ${path} is not answered`)
      throw new NoAnswer(`${method} ${path}`, { cause: error })
    }
  }
}
