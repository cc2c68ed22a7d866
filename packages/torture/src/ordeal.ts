import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Clone, Instance, Snapshot } from '@dblab/models'
import type { Fault } from '@dblab/provision'
import { checkNothingLeft, checkWarnings } from './aftermath.ts'
import { Answers, type Circumstances } from './answers.ts'
import { checkGone, checkMachine } from './check.ts'
import { Client } from './client.ts'
import { judgeEnd, type Stage } from './ending.ts'
import type { Blow, History, Round } from './history.ts'
import { type Ended, type LabOptions, TorturedLab } from './lab.ts'
import { unusedSharedMemory } from './machine.ts'
import { Strike } from './strike.ts'
import type { Tally } from './tally.ts'
import { Violation } from './violation.ts'

/** A lab gets so many imports before another takes its place: their data stays as long as anything stands on it. */
const IMPORTS_PER_LAB = 12

const DUMP = `CREATE TABLE imported AS SELECT n FROM generate_series(1, 1000) AS n;\n`

/** One lab and its clients, and what happens to them. */
export class Ordeal {
  readonly lab: TorturedLab
  readonly #tally: Tally
  readonly #before: ReadonlySet<string>
  readonly #clients: Client[]
  readonly #around: Circumstances = { failuresAllowed: false }
  readonly #answers: Answers
  #imports = 0
  /** How many steps had been made to fail before this round: those that have since are what excuses a failure in it. */
  #throwsBefore: number

  private constructor(lab: TorturedLab, tally: Tally, before: ReadonlySet<string>) {
    this.lab = lab
    this.#tally = tally
    this.#before = before
    this.#throwsBefore = tally.throws
    this.#answers = new Answers(lab, this.#around)
    this.#clients = ['ann', 'ben', 'cyd', 'dan', 'eve'].map((name) => new Client(name, lab, this.#around))
  }

  /** Makes the lab, with nothing happening to it. */
  static async begin(options: LabOptions, tally: Tally): Promise<Ordeal> {
    const before = await unusedSharedMemory()
    const lab = await TorturedLab.make(options)
    await writeFile(join(lab.directory, 'dump.sql'), DUMP)
    const ordeal = new Ordeal(lab, tally, before)
    await ordeal.#startInPeace()
    return ordeal
  }

  /** True when another lab should take its place. */
  get isWornOut(): boolean {
    return this.#imports >= IMPORTS_PER_LAB
  }

  /**
   * Goes through the rounds, one after the other, and then sees in peace what became of everything.
   *
   * @throws Violation
   */
  async suffer(history: History): Promise<void> {
    for (const round of history) {
      const started = Date.now()
      await this.#write(JSON.stringify(round))
      await this.#round(round)
      if (this.#around.failuresAllowed) await this.#getOverFailure()
      await this.#write(`  ${Date.now() - started} ms`)
      this.#tally.take(this.lab.faultLog)
      this.#throwsBefore = this.#tally.throws
    }
    await this.#stopServer('SIGKILL')
    await this.#verifyInPeace()
    await checkMachine(this.lab, this.#before)
    await Promise.all(this.#clients.map((client) => client.deleteClones()))
    // After all clones: one of the lab's own data is what others get who name none.
    await Promise.all(this.#clients.map((client) => client.deleteSnapshots()))
    await this.#verifyNothingLeft()
    await checkMachine(this.lab, this.#before)
    this.#tally.histories++
    this.#tally.operations += this.#clients.reduce((sum, { operations }) => sum + operations, 0)
    for (const client of this.#clients) client.operations = 0
  }

  /** Destroys the lab, and sees that nothing is left. */
  async end(): Promise<void> {
    await this.#stopServer('SIGTERM')
    await this.#destroyInPeace(this.lab, this.#before)
    await this.lab.remove()
  }

  /** A lab that broke: left as it is, for a person to look at, or removed as far as it goes. */
  async giveUp(keep: boolean): Promise<void> {
    await this.lab.abandon()
    if (keep) return
    await this.lab.run(['destroy', '--yes'])
  }

  /** So that whoever looks at a broken lab knows what happened to it. */
  async #write(line: string): Promise<void> {
    await appendFile(join(this.lab.directory, 'history.log'), `${line}\n`)
  }

  async #round({ kind, blow, scripts }: Round): Promise<void> {
    if (kind === 'birth' || kind === 'death') return this.#another(kind, blow)
    if (blow.from === 'inside' && blow.action === 'throw') this.#around.failuresAllowed = true
    if (kind === 'serve') return this.#serve(blow, scripts)
    await this.#stopServer(kind === 'import' ? 'SIGTERM' : 'SIGKILL')
    if (kind === 'stop' || kind === 'restart') await Promise.all(this.#clients.map((client) => client.endSessions()))
    if (kind === 'stop') {
      this.#note(await this.lab.run(['stop'], faultsOf(blow), killTimeOf(blow)), 'command', blow)
      return
    }
    if (kind === 'restart') {
      await this.#runInPeace('stop')
      await this.lab.unmount()
    }
    if (kind === 'grow' && this.lab.options.driver === 'btrfs') await this.lab.grow()
    if (kind === 'import') this.#imports++
    const args = kind === 'import' ? ['--import', join(this.lab.directory, 'dump.sql')] : []
    // An import is struck while it lasts, unless the blow comes from outside: then there is work until it does.
    await this.#serve(blow, kind === 'import' && blow.from === 'inside' ? [] : scripts, args)
  }

  /** Clients at work on a server that starts, until it goes down, or they are done. */
  async #serve(blow: Blow, scripts: Round['scripts'], args: readonly string[] = []): Promise<void> {
    await this.#stopServer('SIGKILL')
    using strike = new Strike(blow, () => this.lab.kill())
    const ended = await this.lab.start(faultsOf(blow), args)
    // One that comes from outside at some time is not to find everybody done.
    const again = () => strike.isToCome && this.lab.isUp
    if (!ended) await Promise.all(scripts.map((script, index) => this.#clients[index]?.play(script, again)))
    if (ended) this.#note(ended, 'start', blow)
    else if (strike.hasStruck) this.#note(await this.lab.ended(), 'serving', blow)
    else await this.#endRound(blow)
  }

  /** Nobody else ends a server whose fault did not strike, or did not kill. */
  async #endRound(blow: Blow): Promise<void> {
    // What is under way for the hasty goes on for a moment.
    if (this.lab.isUp) await delay(150)
    if (!this.lab.isUp) return this.#note(await this.lab.ended(), 'serving', blow)
    const inGoodOrder = blow.from === 'inside' && blow.action !== 'kill' && blow.skip % 2 === 0
    await this.#stopServer(inGoodOrder ? 'SIGTERM' : 'SIGKILL')
    if (!inGoodOrder) this.#tally.quiet++
  }

  /** What a failed step has left is put right before anything else happens: from then on nothing may fail again. */
  async #getOverFailure(): Promise<void> {
    this.#around.failuresAllowed = this.#hasStepFailed(this.lab)
    await this.#stopServer('SIGKILL')
    await this.#verifyInPeace()
    this.#around.failuresAllowed = false
  }

  async #verifyInPeace(): Promise<void> {
    await this.#startInPeace()
    await Promise.all(this.#clients.map((client) => client.verify()))
    const { warnings } = await this.#answers.read<Instance>('/status')
    checkWarnings(warnings)
  }

  async #verifyNothingLeft(): Promise<void> {
    const clones = await this.#answers.read<Clone[]>('/clones')
    const snapshots = await this.#answers.read<Snapshot[]>('/snapshots')
    const names = this.#clients.map(({ name }) => name)
    checkNothingLeft(clones, snapshots, names)
  }

  /** A lab beside the main one, that is made or removed, and cut off in it. */
  async #another(kind: 'birth' | 'death', blow: Blow): Promise<void> {
    // The main lab may be down, with a killed Postgres that it has not cleaned up after yet.
    const before = await unusedSharedMemory()
    const lab = await TorturedLab.make(this.lab.options)
    try {
      if (kind === 'birth') {
        using _strike = new Strike(blow, () => lab.kill())
        const ended = await lab.start(faultsOf(blow))
        if (ended) this.#note(ended, 'start', blow, lab)
        else {
          this.#tally.quiet++
          lab.kill()
          judgeEnd(await lab.ended(), 'serving', false)
        }
      }
      const again = await lab.start()
      if (again)
        throw new Violation('stuck', `a lab whose making was cut off does not start: it ended with ${again.code}`)
      const db = { username: 'newborn', password: 'its password' }
      const { status, body } = await lab.request('POST', '/clone?wait=60', { id: 'newborn', db })
      const code = (body as { status?: { code?: string } }).status?.code
      if (status !== 201 || code !== 'OK')
        throw new Violation('wrong', `the first clone of a new lab is ${status} ${code}`)
      lab.kill()
      await lab.ended()
      if (kind === 'death') {
        const ended = await lab.run(['destroy', '--yes'], faultsOf(blow), killTimeOf(blow))
        this.#note(ended, 'command', blow, lab)
      }
      await this.#destroyInPeace(lab, before)
    } catch (error) {
      await lab.abandon()
      throw error
    } finally {
      this.#tally.take(lab.faultLog)
    }
    await lab.remove()
  }

  /** @param before shared memory that was unused before the lab was made */
  async #destroyInPeace(lab: TorturedLab, before: ReadonlySet<string>): Promise<void> {
    const { code } = await lab.run(['destroy', '--yes'])
    if (code !== 0) throw new Violation('stuck', `the destruction of the lab in ${lab.directory} ended with ${code}`)
    this.#tally.take(lab.faultLog)
    await checkGone(lab, before)
  }

  async #startInPeace(): Promise<void> {
    const ended = await this.lab.start()
    if (ended) throw new Violation('stuck', `the server does not start: it ended with ${ended.code}`)
    this.#tally.take(this.lab.faultLog)
  }

  async #runInPeace(command: string): Promise<void> {
    const { code } = await this.lab.run([command])
    if (code !== 0) throw new Violation('stuck', `"${command}" ended with ${code}`)
  }

  /** @throws Violation for one that was up and did not end well */
  async #stopServer(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    // How one ended that is down already was looked at then.
    const wasUp = this.lab.isUp
    this.lab.kill(signal)
    const ended = await this.lab.ended()
    this.#unsettle()
    if (wasUp) judgeEnd(ended, signal === 'SIGTERM' ? 'stop' : 'serving', this.#hasStepFailed(this.lab))
  }

  /**
   * Kills from inside are counted by what the process wrote before.
   *
   * @throws Violation for an end that nothing called for
   */
  #note(ended: Ended, stage: Stage, blow: Blow, lab = this.lab): void {
    this.#unsettle()
    if (ended.killed && blow.from === 'outside') this.#tally.outside++
    judgeEnd(ended, stage, this.#hasStepFailed(lab))
  }

  /** True when a step has really failed in this round: one that did not come to its fault is no excuse for anything. */
  #hasStepFailed(lab: TorturedLab): boolean {
    this.#tally.take(lab.faultLog)
    return this.#tally.throws > this.#throwsBefore
  }

  #unsettle(): void {
    for (const client of this.#clients) for (const clone of client.clones) clone.settled = false
  }
}

/** What is struck from outside has nothing armed. */
function faultsOf(blow: Blow): Fault[] | 'none' {
  return blow.from === 'inside' ? [{ point: blow.point, action: blow.action, skip: blow.skip }] : 'none'
}

function killTimeOf(blow: Blow): number | undefined {
  return blow.from === 'outside' ? blow.afterMs : undefined
}
