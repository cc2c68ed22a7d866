import type { AuditEntry, Health, Instance } from '@dblab/models'
import type { Services } from '../services.ts'
import type { Act } from './act.ts'
import type { AuditQuery } from './audit-log.ts'
import { NOBODY, scopeOf } from './caller.ts'
import { CallerClones } from './caller-clones.ts'
import { CallerEvents } from './caller-events.ts'
import { CallerRetrieval } from './caller-retrieval.ts'
import { CallerSnapshots } from './caller-snapshots.ts'
import { CallerTokens } from './caller-tokens.ts'

/** What the controllers translate for: the services, as far as the sender of one request may use them. */
export interface CallerServices {
  clones: CallerClones
  snapshots: CallerSnapshots
  tokens: CallerTokens
  retrieval: CallerRetrieval
  events: CallerEvents
  audit: { list(query: AuditQuery): AuditEntry[] }
  status: { status(): Instance; health(): Health }
  metrics: { text(): Promise<string> }
}

/** @param act undefined for what takes no token */
export function callerServices(services: Services, act: Act | undefined): CallerServices {
  const { clones, snapshots, retrieval, status, metrics, events, access, catalogue } = services
  const caller = act?.caller ?? NOBODY
  return {
    clones: new CallerClones(clones, catalogue, caller, act),
    snapshots: new CallerSnapshots(snapshots, catalogue, caller, act),
    tokens: new CallerTokens(access.tokens, act),
    retrieval: new CallerRetrieval(retrieval, caller),
    events: new CallerEvents(events, catalogue, caller),
    audit: access.audit,
    status: {
      status: () => status.status({ tokenId: scopeOf(caller) }),
      health: () => status.health(),
    },
    metrics,
  }
}
