import type { Logger } from '../log.ts'
import type { RetrievalProgress } from './restore-progress.ts'

/** A line when the step changes, and otherwise no more often than this. */
const EVERY_MS = 2000

/** Tells the log how far the bringing in of data is. */
export function progressLog(log: Logger): (progress: RetrievalProgress) => void {
  let last: { step: string; at: number } = { step: '', at: 0 }
  return ({ step, doneBytes, totalBytes, doneTables, totalTables }) => {
    const now = Date.now()
    if (step === last.step && now - last.at < EVERY_MS) return
    last = { step, at: now }
    log.info('bringing in data', {
      step,
      ...(totalBytes && { percent: Math.floor(((doneBytes ?? 0) / totalBytes) * 100) }),
      ...(totalTables && { tables: `${doneTables ?? 0}/${totalTables}` }),
    })
  }
}
