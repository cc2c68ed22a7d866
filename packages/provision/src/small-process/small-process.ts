import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { ProvisionError } from '../errors.ts'
import type { ProgramOrder } from './execute.ts'
import { type Answer, ARE_YOU_THERE, I_AM, type LaunchOrder, type Order } from './protocol.ts'

/** Of one order. */
export interface OrderListener {
  hear(answer: Answer): void
  /** Nobody will answer any more. */
  lose(error: ProvisionError): void
}

/** Beside this file, in the sources as in the build. */
const MAIN = fileURLToPath(new URL(`small-process-main${import.meta.url.slice(-3)}`, import.meta.url))
/** It holds next to nothing: a heap that grows would make each fork slower again. The most that it may grow to is for what programs say. */
const SMALL = ['--max-old-space-size=256', '--max-semi-space-size=1']
/** While it has orders, it is asked this often whether it is there; it does nothing itself that takes long, so that one that says nothing hangs. */
const ASK_EVERY_MS = 5000
/** A disk that stalls keeps it, too: it goes to directories of the pool, for those that it starts. */
const ANSWER_WITHIN_MS = 20_000

/**
 * A small process of our own that starts others for us. Node copies the tables of its memory for each program that it starts (libuv forks): from
 * a server of 250 MB that takes 12 ms, in which it does nothing else, and from this one 1 ms. See docs/decisions/small-process.md.
 *
 * It holds no state: where it has ended, the next order starts another one. It keeps nobody from ending, and ends when we do, however that is.
 */
export class SmallProcess {
  #child: ChildProcess | undefined
  #isReady = false
  #asking: NodeJS.Timeout | undefined
  #late: NodeJS.Timeout | undefined
  readonly #listeners = new Map<number, OrderListener>()
  readonly #answerWithinMs: number
  #lastId = 0

  /** @param answerWithinMs how long it may say nothing before it is taken for hung, and killed */
  constructor({ answerWithinMs = ANSWER_WITHIN_MS } = {}) {
    this.#answerWithinMs = answerWithinMs
  }

  /** It runs, and listens: an order takes no longer than what is ordered. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** Has it run from now on; does not wait for it. Where the system has no room for it, each order tries anew. */
  start(): void {
    try {
      this.#child ??= this.#fork()
    } catch {
      return
    }
    this.#rest()
  }

  /**
   * @param listener until its order is forgotten
   * @returns the number of the order
   */
  order(order: { launch: LaunchOrder } | { run: ProgramOrder }, listener: OrderListener): number {
    const id = ++this.#lastId
    this.#listeners.set(id, listener)
    this.#asking ??= setInterval(() => this.#ask(), ASK_EVERY_MS).unref()
    this.tell({ id, ...order })
    return id
  }

  /** More about an order. */
  tell(order: Order | typeof ARE_YOU_THERE): void {
    let child: ChildProcess
    try {
      this.#child ??= this.#fork()
      child = this.#child
    } catch (error) {
      // As for a lack of memory; of all other lacks, Node tells later.
      setImmediate(() => this.#loseAll(error))
      return
    }
    // Not there where the system has no room for one more pipe or process.
    if (!child.channel) {
      setImmediate(() => this.#lose(child))
      return
    }
    child.channel.ref()
    child.send(order, (error) => {
      if (error) this.#lose(child, error)
    })
  }

  forget(id: number): void {
    this.#listeners.delete(id)
    this.#rest()
  }

  #fork(): ChildProcess {
    const child = fork(MAIN, {
      execArgv: SMALL,
      // Nothing of ours: it may hold the lab's token.
      env: {},
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // Many times as fast as JSON for what is long.
      serialization: 'advanced',
    })
    child.unref()
    child.on('message', (answer: Answer | typeof I_AM) => {
      if (answer !== I_AM) this.#listeners.get(answer.id)?.hear(answer)
      else if (this.#child === child) this.#hearFrom()
    })
    // More than once: for each order that does not come to it.
    child.on('error', (error) => this.#lose(child, error))
    child.once('exit', () => this.#lose(child))
    return child
  }

  #hearFrom(): void {
    this.#isReady = true
    clearTimeout(this.#late)
    this.#late = undefined
  }

  /** One that hangs is killed, which loses what it was ordered; the next order starts another. */
  #ask(): void {
    const child = this.#child
    if (!child || this.#late) return
    const killIfLate = () => {
      if (this.#late !== late) return
      child.kill('SIGKILL')
      this.#lose(child)
    }
    // Where it was we who stood still, its answer is there by now, and is heard first.
    const late = setTimeout(() => setImmediate(killIfLate), this.#answerWithinMs).unref()
    this.#late = late
    this.tell(ARE_YOU_THERE)
  }

  #lose(child: ChildProcess, cause?: unknown): void {
    if (this.#child !== child) return
    this.#child = undefined
    this.#isReady = false
    clearTimeout(this.#late)
    this.#late = undefined
    this.#loseAll(cause)
  }

  #loseAll(cause: unknown): void {
    const listeners = [...this.#listeners.values()]
    this.#listeners.clear()
    this.#rest()
    for (const listener of listeners) {
      const message = 'the small process of the lab that starts others has ended'
      listener.lose(new ProvisionError('FAILED', message, { cause, hint: 'Try again: another one is started.' }))
    }
  }

  /** What nobody waits for keeps no process alive. */
  #rest(): void {
    if (this.#listeners.size > 0) return
    clearInterval(this.#asking)
    this.#asking = undefined
    this.#child?.channel?.unref()
  }
}

/** The one of this process. */
export const smallProcess = new SmallProcess()

/** Has programs run from the small process from now on, as soon as it is there: for who stays, and grows. */
export function startSmallProcess(): void {
  smallProcess.start()
}
