import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { ProvisionError } from '../errors.ts'
import type { ProgramOrder } from './execute.ts'
import { type Answer, type LaunchOrder, type Order, READY } from './protocol.ts'

/** Of one order. */
export interface OrderListener {
  hear(answer: Answer): void
  /** Nobody will answer any more. */
  lose(error: ProvisionError): void
}

/** Beside this file, in the sources as in the build. */
const MAIN = fileURLToPath(new URL(`small-process-main${import.meta.url.slice(-3)}`, import.meta.url))
/** It holds next to nothing: a heap that grows would make each fork slower again. */
const SMALL = ['--max-old-space-size=32', '--max-semi-space-size=1']

/**
 * A small process of our own that starts others for us. Node copies the tables of its memory for each program that it starts (libuv forks): from
 * a server of 250 MB that takes 12 ms, in which it does nothing else, and from this one 1 ms. See docs/decisions/small-process.md.
 *
 * It holds no state: where it has ended, the next order starts another one. It keeps nobody from ending, and ends when we do, however that is.
 */
export class SmallProcess {
  #child: ChildProcess | undefined
  #isReady = false
  readonly #listeners = new Map<number, OrderListener>()
  #lastId = 0

  /** It runs, and listens: an order takes no longer than what is ordered. */
  get isReady(): boolean {
    return this.#isReady
  }

  /** Has it run from now on; does not wait for it. */
  start(): void {
    this.#child ??= this.#fork()
    this.#rest()
  }

  /**
   * @param listener until its order is forgotten
   * @returns the number of the order
   */
  order(order: { launch: LaunchOrder } | { run: ProgramOrder }, listener: OrderListener): number {
    const id = ++this.#lastId
    this.#listeners.set(id, listener)
    this.tell({ id, ...order })
    return id
  }

  /** More about an order. */
  tell(order: Order): void {
    this.#child ??= this.#fork()
    this.#child.channel?.ref()
    this.#child.send(order)
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
    })
    child.unref()
    child.on('message', (answer: Answer | typeof READY) => {
      if (answer === READY) this.#isReady = this.#child === child
      else this.#listeners.get(answer.id)?.hear(answer)
    })
    child.once('error', (error) => this.#lose(child, error))
    child.once('exit', () => this.#lose(child))
    return child
  }

  #lose(child: ChildProcess, cause?: unknown): void {
    if (this.#child !== child) return
    this.#child = undefined
    this.#isReady = false
    const listeners = [...this.#listeners.values()]
    this.#listeners.clear()
    for (const listener of listeners) {
      const message = 'the small process of the lab that starts others has ended'
      listener.lose(new ProvisionError('FAILED', message, { cause, hint: 'Try again: another one is started.' }))
    }
  }

  /** What nobody waits for keeps no process alive. */
  #rest(): void {
    if (this.#listeners.size === 0) this.#child?.channel?.unref()
  }
}

/** The one of this process. */
export const smallProcess = new SmallProcess()

/** Has programs run from the small process from now on, as soon as it is there: for who stays, and grows. */
export function startSmallProcess(): void {
  smallProcess.start()
}
