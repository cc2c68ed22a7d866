import type { Request } from 'express'
import type { Access } from './access/access.ts'
import type { Catalogue } from './catalogue/catalogue.ts'
import type { CloneService } from './cloning/clone-service.ts'
import type { EventHub } from './events/event-hub.ts'
import type { OpenStreams } from './events/open-streams.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { RetrievalService } from './retrieval/retrieval-service.ts'
import type { SnapshotService } from './snapshots/snapshot-service.ts'
import type { StatusService } from './status/status-service.ts'

/** What the server does. A request gets as much of it as its sender may use (access/caller-services.ts). */
export interface Services {
  clones: CloneService
  snapshots: SnapshotService
  retrieval: RetrievalService
  status: StatusService
  metrics: Metrics
  /** Where everything that happens is told, and who follows it. */
  events: { hub: EventHub; streams: OpenStreams }
  access: Access
  catalogue: Catalogue
}

/** The services of the application that a request came to. */
export function servicesOf(request: Request): Services {
  return request.app.locals.services as Services
}
