import type { ProgramFailure, ProgramOrder, ProgramResult } from './execute.ts'

/** A server, which is told of its own end alone: it goes on when the small process ends. */
export interface LaunchOrder {
  file: string
  args: readonly string[]
  dataDir: string
  logFile: string
  account: { uid: number; gid: number } | undefined
  /** Nothing of the program runs before the gate is opened. */
  gated: boolean
}

/** What is asked of the small process, under a number that its answers bear. */
export type Order =
  | { id: number; launch: LaunchOrder }
  | { id: number; openGate: boolean }
  | { id: number; run: ProgramOrder }
  /** Of what runs: as by a signal of the one who asked for it. */
  | { id: number; stop: true }

export type Answer =
  | { id: number; pid: number }
  | { id: number; exited: true }
  | { id: number; failed: Partial<NodeJS.ErrnoException> & { message: string } }
  | { id: number; ran: ProgramResult }
  | { id: number; ranBadly: ProgramFailure }

/** What it is asked now and then, and what it says to that, and first of all. */
export const ARE_YOU_THERE = 'are you there'
export const I_AM = 'I am'
