import type { Logger } from '../log.ts'
import type { Act } from './act.ts'
import type { AuditLog, AuditOutcome } from './audit-log.ts'

const WINDOW_MS = 60_000
/** Beyond the tokens that an address may fail with: the refusal that comes next is to be seen as well. */
const MARGIN = 10
/** Of all: whoever has many addresses must not fill the disk either. */
const SENDERS = 10

/** Writes refused requests to the audit log, as many within a minute as do no harm there. */
export class Refusals {
  readonly #audit: AuditLog
  readonly #log: Logger
  #window = 0
  #inAll = 0
  readonly #bySender = new Map<string, number>()
  /** Of one token, or of one address without a token. */
  readonly #perSender: number

  constructor(audit: AuditLog, failedAttemptsPerMinute: number, log: Logger) {
    this.#audit = audit
    this.#perSender = failedAttemptsPerMinute + MARGIN
    this.#log = log
  }

  record(act: Act, outcome: AuditOutcome): void {
    if (this.#mayRecord(act.caller?.tokenId || act.address)) this.#audit.add(act, outcome)
  }

  #mayRecord(sender: string): boolean {
    const window = Math.floor(Date.now() / WINDOW_MS)
    if (window !== this.#window) {
      this.#window = window
      this.#inAll = 0
      this.#bySender.clear()
    }
    if (this.#inAll >= this.#perSender * SENDERS) return false
    const ofSender = (this.#bySender.get(sender) ?? 0) + 1
    this.#bySender.set(sender, ofSender)
    if (ofSender <= this.#perSender) {
      this.#inAll++
      return true
    }
    if (ofSender === this.#perSender + 1) {
      this.#log.warn('more refused requests than the audit log takes; the rest of this minute is left out', { sender })
    }
    return false
  }
}
