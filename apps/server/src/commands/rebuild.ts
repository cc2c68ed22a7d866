import { Provisioner } from '@dblab/provision'
import { AuditLog } from '../access/audit-log.ts'
import { Catalogue } from '../catalogue/catalogue.ts'
import type { CloneRecord } from '../catalogue/clones.ts'
import { CatalogueLostError } from '../catalogue/database.ts'
import type { Config } from '../config/schema.ts'
import { readBootId } from '../lab/boot-id.ts'
import { type Foundations, openFoundations } from '../lab/foundations.ts'
import { type Identity, IdentityError, readIdentity, writeIdentity } from '../lab/identity.ts'
import { places } from '../lab/places.ts'
import { cloneSettings, startDeadlines } from '../lab/settings.ts'
import { createLog } from '../log.ts'
import { find } from '../rebuild/find.ts'
import { type Plan, plan } from '../rebuild/plan.ts'
import { READY } from '../rebuild/plan-clones.ts'
import { withFreePorts, writeCatalogue } from '../rebuild/write.ts'
import { confirmed } from './confirm.ts'

export interface RebuildOptions {
  /** Do not ask. */
  yes?: boolean
  /** Though there is nothing wrong with the catalogue. */
  force?: boolean
}

/**
 * Makes a lost catalogue anew, of what the storage's labels, the runtime's records and the clones' own data say. Nothing is removed, and
 * what runs goes on; the old catalogue is kept beside the new one.
 *
 * @throws LabLockedError while a server runs; IdentityError where there is nothing to rebuild
 */
export async function rebuild(config: Config, options: RebuildOptions): Promise<void> {
  const { dataDir } = config
  const identity = await readIdentity(dataDir)
  if (!identity) {
    process.stdout.write(`There is no lab in ${dataDir}.\n`)
    return
  }
  await using foundations = await openRebuildable(config, identity)
  const file = places.catalogue(dataDir)
  const lost = whyLost(file, foundations.identity)
  if (!options.force) requireLost(lost)
  process.stdout.write(
    `The catalogue ${lost ? `can't be used: ${lost.message}` : 'is sound; a new one was asked for'}.\n`,
  )
  const question = `Make a new one of what the storage in ${foundations.identity.stateDir} says?`
  if (!options.yes && !(await confirmed(question, 'To rebuild without being asked: npm run rebuild -- --yes'))) {
    process.stdout.write('Nothing was changed.\n')
    process.exitCode = 1
    return
  }
  const planned = plan(await find(provisionerOf(foundations, config), await readBootId()), new Date().toISOString())
  const clones = await withFreePorts(planned, config.clones)
  // One start more than the lab has seen: whatever is put in the new one's place later is an older copy.
  const { labId, epoch } = { ...foundations.identity, epoch: foundations.identity.epoch + 1 }
  const aside = await writeCatalogue(planned, clones, { file, labId, epoch })
  await writeIdentity(dataDir, { ...foundations.identity, complete: true, epoch })
  {
    using audit = new AuditLog({ ...config.audit, file: places.audit(dataDir), log: createLog(config) })
    audit.addOwn({ operation: 'Rebuild', by: 'command' }, 'npm run rebuild')
  }
  process.stdout.write(report(planned, clones, aside))
}

function provisionerOf({ storage, runtime, steering }: Foundations, config: Config): Provisioner {
  return new Provisioner({
    storage: storage.driver,
    runtime,
    steering,
    host: config.clones.host,
    settings: cloneSettings(config),
    deadlines: startDeadlines(config),
    allowSuperusers: config.postgres.allowSuperusers,
  })
}

function report({ snapshots, notes }: Plan, clones: CloneRecord[], aside: string | undefined): string {
  const published = snapshots.filter((snapshot) => snapshot.published && snapshot.state === 'live')
  const undecided = clones.filter(({ message }) => message !== READY)
  return [
    `The catalogue is made anew: ${count(clones.length, 'clone')}, ${count(published.length, 'snapshot')}.`,
    ...undecided.map(({ id, message }) => `${id}: ${message}`),
    ...notes.map((note) => `Note: ${note}.`),
    ...(aside === undefined ? [] : [`The old one is kept as ${aside}.`]),
    'Tokens made by "npm run token" are gone: make new ones. The clones and snapshots are the admins\'.',
    '"npm start" goes on with it.',
    '',
  ].join('\n')
}

async function openRebuildable(config: Config, { storage, complete, destroying }: Identity) {
  if (!storage || !complete) {
    throw new IdentityError(
      'this lab was never finished, so it has no catalogue to lose; "npm start" goes on making it',
    )
  }
  if (destroying) throw new IdentityError('the destruction of this lab was cut off; end it with "npm run destroy"')
  return openFoundations(config, 'rebuild')
}

/** Why the catalogue can't be used; undefined when it can. */
function whyLost(file: string, { labId, epoch }: Identity): CatalogueLostError | undefined {
  try {
    Catalogue.open(file, labId, epoch).close()
    return undefined
  } catch (error) {
    if (error instanceof CatalogueLostError) return error
    throw error
  }
}

function requireLost(lost: CatalogueLostError | undefined): void {
  if (!lost) {
    throw new IdentityError(
      'the catalogue is sound, and knows more than the storage; nothing was changed. To make a new one all the same: npm run rebuild -- --force',
    )
  }
  if (!lost.newer) return
  throw new IdentityError(
    `${lost.message}: update this server instead; nothing was changed. To do without what the newer one wrote: npm run rebuild -- --force`,
  )
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`
}
