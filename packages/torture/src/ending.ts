import type { Ended } from './lab.ts'
import { Violation } from './violation.ts'

/**
 * What a process of the server was at when it ended: on its way up, serving, on its way down after SIGTERM; or a command, such as the
 * destruction of the lab.
 */
export type Stage = 'start' | 'serving' | 'stop' | 'command'

const WORDS: Readonly<Record<Stage, string>> = {
  start: 'the start of the server',
  serving: 'the server, while it served,',
  stop: 'the server, after SIGTERM,',
  command: 'a command of the server',
}

/**
 * Whatever fails, a server that serves goes on until it is killed; a start, a stop and a command may end in it, and say so in their
 * exit code.
 *
 * @param stepFailed a step was really made to fail: a fault that was armed and never struck excuses nothing
 * @throws Violation for an end that nothing called for
 */
export function judgeEnd({ killed, code }: Ended, stage: Stage, stepFailed: boolean): void {
  if (killed || (code === 0 && stage !== 'serving')) return
  if (stepFailed && stage !== 'serving') return
  const how = code === null ? 'was ended by a signal' : `ended with ${code}`
  throw new Violation(stage === 'serving' ? 'wrong' : 'stuck', `${WORDS[stage]} ${how}`)
}
