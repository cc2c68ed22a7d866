import type { Request } from 'express'
import type { CloneService } from './cloning/clone-service.ts'
import type { SnapshotService } from './snapshots/snapshot-service.ts'
import type { StatusService } from './status/status-service.ts'

/** What the controllers translate for. */
export interface Services {
  clones: CloneService
  snapshots: SnapshotService
  status: StatusService
  /** The token that a request must bring. */
  token: string
}

/** The services of the application that a request came to. */
export function servicesOf(request: Request): Services {
  return request.app.locals.services as Services
}
