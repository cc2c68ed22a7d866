import type { CloneProfile, Health, Instance, Pool, Warning } from '@dblab/models'
import type { PortPool, StorageChoice, StorageDriver } from '@dblab/provision'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneService } from '../cloning/clone-service.ts'
import { suits } from '../cloning/profile.ts'
import { newestSnapshot } from '../snapshots/choose.ts'
import type { SnapshotService } from '../snapshots/snapshot-service.ts'
import type { DiskMonitor } from './disk.ts'

export interface StatusServiceOptions {
  catalogue: Catalogue
  clones: CloneService
  snapshots: SnapshotService
  disk: DiskMonitor
  room: { readonly comingBytes: number }
  audit: { readonly problem: string | undefined }
  retrieval: { readonly isConfigured: boolean; warnings(): Warning[] }
  ports: PortPool
  /** Of clones that ask for none. */
  defaultProfile: CloneProfile
  warm: { readonly size: number; readonly target: number }
  storage: StorageDriver
  choice: StorageChoice
  version: string
  /** Reasons for WARNING that do not change while the server runs. */
  standing: readonly Warning[]
}

/** The lab at a glance: from memory and the catalogue alone. */
export class StatusService {
  readonly #options: StatusServiceOptions
  readonly #startedAt = new Date().toISOString()

  constructor(options: StatusServiceOptions) {
    this.#options = options
  }

  health(): Health {
    return { status: 'OK', version: this.#options.version }
  }

  /** @param tokenId whose clones it shows; undefined for all */
  status({ tokenId }: { tokenId?: string | undefined } = {}): Instance {
    const { catalogue, clones, snapshots, disk, room, warm, version } = this.#options
    const warnings = tokenId === undefined ? this.warnings() : withoutNames(this.warnings())
    const cloneList = clones.list({ tokenId })
    return {
      status:
        warnings.length === 0
          ? { code: 'OK', message: 'DB Lab is ready' }
          : { code: 'WARNING', message: warnings.map((warning) => warning.message).join('; ') },
      warnings,
      disk: { ...disk.view(), freeing: room.comingBytes },
      pool: this.#pool(),
      expectedCloningTime: catalogue.clones.medianCreationSeconds(),
      numClones: cloneList.length,
      warm: { ready: warm.size, target: warm.target },
      clones: cloneList,
      snapshots: snapshots.list(),
      version,
      startedAt: this.#startedAt,
    }
  }

  warnings(): Warning[] {
    const { catalogue, disk, ports, audit, retrieval, standing, defaultProfile } = this.#options
    const warnings = [...standing, ...disk.warnings(), ...retrieval.warnings()]
    if (catalogue.snapshots.listPublished().length === 0 && !warnings.some(({ code }) => code === 'CATALOGUE_LOST')) {
      warnings.push({
        code: 'NO_SNAPSHOT',
        message: 'The lab has no snapshot to clone',
        hint: retrieval.isConfigured
          ? 'GET /retrieval says how far the data is that is being brought in; POST /refresh begins'
          : 'Import data (npm start -- --import FILE), or take a snapshot of what there is (POST /snapshot)',
      })
    }
    const newest = newestSnapshot(catalogue.snapshots.listPublished(), { masked: false })
    if (newest && !suits(defaultProfile, newest)) {
      warnings.push({
        code: 'SOURCE_SETTINGS_UNKNOWN',
        message: `clones.profile is ${defaultProfile}, and the settings of the source of the newest data are not known: clones that ask for no profile get dev`,
        hint: 'Bring the data in from a live source, or of files with their postgresql.conf (POST /refresh); or let clones.profile be dev',
      })
    }
    if (audit.problem !== undefined) {
      warnings.push({
        code: 'AUDIT_LOG_FAILED',
        message: `The audit log can't be written: ${audit.problem}`,
        hint: "What it lacks is in the server's log; make room on the disk of the data directory, or see what is wrong with audit.db there",
      })
    }
    if (ports.unlent === 0) {
      warnings.push({
        code: 'NO_FREE_PORT',
        message: 'All ports for clones are lent: new clones are refused',
        hint: 'Delete clones, or widen clones.portFrom to clones.portTo in the configuration',
      })
    }
    return warnings
  }

  #pool(): Pool {
    const { choice, storage, disk } = this.#options
    const usage = disk.usage
    return {
      driver: choice.driver,
      embedded: choice.embedded,
      compressionRatio: usage?.compressionRatio ?? null,
      health: usage?.health ?? 'DEGRADED',
      healthDetail: usage?.healthDetail ?? '',
      cloneSizeIsOwn: storage.capabilities.ownBytes,
      passedOver: choice.passedOver.map(({ driver, reason, hint }) => ({ driver, reason, hint })),
    }
  }
}

/** What is out of order names clones and volumes, which are others' for whoever sees only its own. */
function withoutNames(warnings: readonly Warning[]): Warning[] {
  const named = warnings.filter(({ code }) => code === 'RECONCILE_FAILED')
  if (named.length === 0) return [...warnings]
  const what = `${named.length} ${named.length === 1 ? 'thing was' : 'things were'} out of order when the server started`
  const hint = 'The admins of the lab see in GET /status what it is'
  return [
    ...warnings.filter(({ code }) => code !== 'RECONCILE_FAILED'),
    { code: 'RECONCILE_FAILED', message: what, hint },
  ]
}
