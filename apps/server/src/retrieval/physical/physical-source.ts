import { type Account, failPoint, type Places } from '@dblab/provision'
import { describeAddress } from '../live/address.ts'
import { tellHidden } from '../live/plan-settings.ts'
import type { SourceLogin } from '../live/session.ts'
import type { CheckedSource, Reporter, Source } from '../source.ts'
import { writePassFile } from '../tools/pass-file.ts'
import { takeBaseBackup } from './base-backup.ts'
import type { Follower } from './follower.ts'
import { examineCluster, needBaseBackup } from './preflight.ts'

export interface PhysicalOptions {
  login: SourceLogin
  /** A locale of another version than this machine's is no reason to refuse. */
  anyLocale: boolean
  /** Bytes a second at most; undefined for no bound. */
  maxRateBytes: number | undefined
  /** Runs the tools. */
  account: Account
  /** For the password file, which is there only while it is needed. */
  loginDirectory: string
  /** Rejects where the lab has no Postgres of that major. */
  requireMajor: (major: number) => Promise<unknown>
  /** Where it is followed. */
  follower: Follower | undefined
  slot: string | undefined
}

/** The files of a live server or standby, by pg_basebackup. Nothing is left there: the slot of the copy ends with its connection. */
export class PhysicalSource implements Source {
  readonly kind = 'physical'
  readonly description: string
  readonly #options: PhysicalOptions

  constructor(options: PhysicalOptions) {
    this.#options = options
    this.description = `postgresql://${describeAddress(options.login.address)}`
  }

  async check(reporter: Reporter): Promise<CheckedSource> {
    const { login, anyLocale, requireMajor, follower, slot } = this.#options
    const facts = await examineCluster(login, { anyLocale, slot, copies: follower?.view() === undefined })
    await requireMajor(facts.serverMajor)
    const tool = await needBaseBackup(facts.serverMajor)
    const what = facts.isStandby ? 'a standby' : 'a primary'
    reporter.info(
      `${this.description} is ${what} of PostgreSQL ${facts.serverMajor}, ${Math.ceil(facts.sizeBytes / 1e6)} MB`,
    )
    tellHidden(facts.planSettings, reporter)
    const copy = (places: Places, told: Reporter) => this.#copy(places, tool.path, facts.tablespaces, told)
    const common = {
      database: login.address.database,
      sample: false,
      message: `From ${login.address.host.startsWith('/') ? 'a server of this machine' : login.address.host}`,
      anyLocale,
      planSettings: facts.planSettings.values,
    }
    const { bootstrapRole: superuser, settings: settingsOfSource } = facts
    if (!follower) return { ...common, brings: 'cluster', neededBytes: facts.sizeBytes, settingsOfSource, copy }
    return {
      ...common,
      brings: 'standby',
      neededBytes: follower.view() ? 0 : facts.sizeBytes,
      snapshot: (told) =>
        follower.snapshot({ superuser, settingsOfSource, copy: (places) => copy(places, told) }, told),
      release: (ref) => follower.release(ref),
    }
  }

  async #copy(
    places: Places,
    program: string,
    tablespaces: readonly { oid: number; location: string }[],
    reporter: Reporter,
  ): Promise<void> {
    const { login, account, loginDirectory, maxRateBytes, slot } = this.#options
    const { address } = login
    const password = await login.password()
    await using passFile =
      password === undefined
        ? undefined
        : await writePassFile(loginDirectory, account, { user: address.user, password })
    const options = { program, address, account, maxRateBytes, slot, tablespaces, passFile: passFile?.path }
    await takeBaseBackup(places, options, reporter)
    await failPoint('retrieval.copied')
  }
}
