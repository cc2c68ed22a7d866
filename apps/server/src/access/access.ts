import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Config } from '../config/schema.ts'
import { LabError } from '../errors.ts'
import { repeat } from '../lab/background.ts'
import { places } from '../lab/places.ts'
import type { Logger } from '../log.ts'
import { AuditLog } from './audit-log.ts'
import { Authenticator } from './authenticator.ts'
import { FailedAttempts } from './failed-attempts.ts'
import { Refusals } from './refusals.ts'
import { Tokens } from './tokens.ts'

/** Who may do what, and what they did. */
export interface Access extends AsyncDisposable {
  tokens: Tokens
  authenticator: Authenticator
  failedAttempts: FailedAttempts
  audit: AuditLog
  refusals: Refusals
}

export interface AccessOptions {
  config: Pick<Config, 'access' | 'audit' | 'dataDir'>
  catalogue: Catalogue
  /** Why the catalogue can't be trusted: then there is the first token alone. */
  lost: string | undefined
  /** The secret of the first token. */
  firstToken: string
  log: Logger
}

const UPKEEP_EVERY_MS = 60_000

/** Disposing it writes down what was put off. */
export function openAccess({ config, catalogue, lost, firstToken, log }: AccessOptions): Access {
  const { failedAttemptsPerMinute } = config.access
  const audit = new AuditLog({ ...config.audit, file: places.audit(config.dataDir), log })
  const tokens = new Tokens({ catalogue, requireWritable: () => requireCatalogue(lost) })
  const authenticator = new Authenticator({ catalogue, firstToken, catalogueIsLost: lost !== undefined })
  const upkeep = () => {
    audit.prune()
    authenticator.writeUses()
    tokens.forgetEnded()
  }
  const background = repeat('looking after tokens', UPKEEP_EVERY_MS, async () => upkeep(), log)
  return {
    ...{ tokens, authenticator, audit },
    failedAttempts: new FailedAttempts(failedAttemptsPerMinute),
    refusals: new Refusals(audit, failedAttemptsPerMinute, log),
    [Symbol.asyncDispose]: async () => {
      await background[Symbol.asyncDispose]()
      try {
        authenticator.writeUses()
      } catch (error) {
        // The lab must stop all the same.
        log.warn('when tokens were last used could not be written down', { error })
      }
      audit[Symbol.dispose]()
    },
  }
}

function requireCatalogue(lost: string | undefined): void {
  if (lost !== undefined) throw new LabError('CATALOGUE_UNREADABLE', lost, { retryAfterSeconds: 60 })
}
