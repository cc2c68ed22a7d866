import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ProvisionError } from '../errors.ts'
import { commandName, type FailPoint } from './points.ts'

/**
 * - `kill`: this process ends, as by SIGKILL from outside.
 * - `throw`: the step fails. Around a program: it has failed (`before`: without having run; `after`: though it did its work).
 * - `delay`: it takes longer, so that what runs beside it gets further.
 */
export type FaultAction = 'kill' | 'throw' | 'delay'

export interface Fault {
  point: string
  action: FaultAction
  /** Strikes when the point is reached after this many times. */
  skip?: number
  /** 500 by default. */
  delayMs?: number
}

export interface FaultPlan {
  /** A file that is told of each point that is reached (once a process) and of each fault that strikes, a line each. */
  log?: string
  /** Each strikes once. */
  faults: Fault[]
}

/** What was asked for by a test, and not a defect. */
export class InjectedFault extends Error {
  override readonly name = 'InjectedFault'
}

class Faults {
  readonly #log: string | undefined
  readonly #waiting: Required<Fault>[]
  readonly #reached = new Set<string>()

  constructor({ log, faults }: FaultPlan) {
    this.#log = log
    this.#waiting = faults.map((fault) => ({ skip: 0, delayMs: 500, ...fault }))
  }

  /** The fault that strikes here and now, if any. A kill has struck already. */
  reach(point: string): Required<Fault> | undefined {
    if (!this.#reached.has(point)) {
      this.#reached.add(point)
      this.#note(`reached ${point}`)
    }
    const at = this.#waiting.findIndex((fault) => fault.point === point)
    const fault = this.#waiting[at]
    if (!fault || fault.skip-- > 0) return undefined
    this.#waiting.splice(at, 1)
    this.#note(`struck ${point} ${fault.action}`)
    if (fault.action === 'kill') process.kill(process.pid, 'SIGKILL')
    if (fault.action === 'throw') throw new InjectedFault(`a fault was injected at ${point}`)
    return fault
  }

  /** On disk before the fault strikes. */
  #note(line: string): void {
    if (this.#log !== undefined) appendFileSync(this.#log, `${line}\n`)
  }
}

/** Process-wide, as what it stands for is: a fault does not ask which object it strikes. Undefined in every lab but a test's. */
let armed: Faults | undefined

/** Has the process suffer these faults from now on. For tests: nothing but the process' own environment asks for it. */
export function armFaults(plan: FaultPlan | undefined): void {
  armed = plan && new Faults(plan)
}

/** @throws ProvisionError INVALID */
export function parseFaultPlan(text: string): FaultPlan {
  let plan: unknown
  try {
    plan = JSON.parse(text)
  } catch (error) {
    throw new ProvisionError('INVALID', 'the plan of faults is no JSON', { cause: error })
  }
  if (!isPlan(plan)) throw new ProvisionError('INVALID', 'the plan of faults is none')
  return plan
}

function isPlan(value: unknown): value is FaultPlan {
  if (typeof value !== 'object' || value === null || !('faults' in value) || !Array.isArray(value.faults)) return false
  const isFault = (fault: Partial<Fault> | null) =>
    typeof fault?.point === 'string' && ['kill', 'throw', 'delay'].includes(fault.action ?? '')
  return value.faults.every(isFault) && (!('log' in value) || typeof value.log === 'string')
}

/** A place where a fault may strike: of no effect, and as good as no cost, unless a test armed it. */
export function failPoint(point: FailPoint): Promise<void> | undefined {
  return armed && strike(point)
}

/** The same within work that must not await: a fault that delays does nothing there. */
export function failPointNow(point: FailPoint): void {
  armed?.reach(point)
}

/** The same around a program that a driver runs. */
export function commandPoint(
  when: 'before' | 'after',
  argv: readonly [string, ...string[]],
): Promise<void> | undefined {
  const name = armed && commandName(argv)
  return name === undefined ? undefined : strike(`${when} ${name}`)
}

async function strike(point: string): Promise<void> {
  const fault = armed?.reach(point)
  if (fault?.action === 'delay') await delay(fault.delayMs)
}
