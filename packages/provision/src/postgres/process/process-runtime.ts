import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { allOf, forEachBounded, mapBounded, mapInTurn } from '../../bounded.ts'
import { ProvisionError } from '../../errors.ts'
import { CommandError } from '../../exec.ts'
import { failPoint } from '../../faults/faults.ts'
import { canPass } from '../account.ts'
import type { BinarySource } from '../binary-source.ts'
import { clusterMajor, isShutDownCleanly } from '../cluster.ts'
import type {
  Account,
  Certificate,
  Instance,
  InstanceId,
  InstanceSpec,
  PostgresRuntime,
  SingleUserSpec,
  StartOptions,
} from '../runtime.ts'
import { AbandonedMemory } from './abandoned-memory.ts'
import { hbaRules } from './access-rules.ts'
import { readCertificate, renewCertificate } from './certificate.ts'
import type { Cgroups } from './cgroup.ts'
import { alreadyRunning, assertDataDir, removeCarriedPostmasterFile } from './data-directory.ts'
import { lastWords } from './failure.ts'
import { initialiseCluster } from './initialise.ts'
import { launchServer } from './launcher.ts'
import { logSize, tailLines, trimLog } from './log.ts'
import { lacksMemory, noteEnd, noteMemory, noteProcess, processOf } from './note.ts'
import { type PreparedFor, prepareStart } from './preparation.ts'
import { isRunning, openProcessTable, type ProcessIdentity, type ProcessTable, signalProcess } from './processes.ts'
import { InstanceDirectory, type InstanceRecord, instanceDirectories } from './record.ts'
import { startAborted, untilServing } from './serving.ts'
import { tryOutSettings } from './settings.ts'
import { evict, halt, resume, STOP_DEADLINES, type StopDeadlines, shutDown, startedBy } from './shutdown.ts'
import { runSingleUser, singleUserFailure } from './single-user.ts'
import { chooseSocketDir, removeSocketDir } from './socket-directory.ts'
import { Turns } from './turns.ts'

export interface ProcessRuntimeOptions {
  /** Owns the data and runs the servers. Not root. */
  account: Account
  binaries: BinarySource
  /** Where the runtime keeps its records, logs and sockets. Other accounts must be able to enter it. */
  stateDir: string
  /** Where sockets go, if not below `stateDir`. */
  socketRoot?: string
  /** The operating system's name for the account of this process: the lab's connections are known by it. */
  labUser: string
  stopDeadlines?: Partial<StopDeadlines>
  /** Keeps the limits of instances; without it, nothing bounds them. */
  cgroups?: Cgroups | undefined
}

/** What is known of a server that runs. */
interface Server {
  process: ProcessIdentity
  /** Of the cluster. */
  major: number
  tls: boolean
}

/** Runs Postgres as plain processes of this machine. Nothing of a server hangs on the process that started it. */
export class ProcessRuntime implements PostgresRuntime {
  readonly name = 'process'
  readonly account: Account
  readonly #options: ProcessRuntimeOptions
  readonly #instancesDir: string
  readonly #socketRoot: string
  readonly #processes: ProcessTable = openProcessTable()
  readonly #deadlines: StopDeadlines
  readonly #turns = new Turns()
  /** Those that were started here and not stopped here: what would have to be read otherwise. */
  readonly #servers = new Map<InstanceId, Server>()
  readonly #abandoned: AbandonedMemory

  constructor(options: ProcessRuntimeOptions) {
    if (options.account.uid === 0) throw new ProvisionError('INVALID', 'Postgres does not run as root')
    this.#options = options
    this.account = options.account
    this.#abandoned = new AbandonedMemory(this.#processes, options.account)
    this.#instancesDir = join(options.stateDir, 'instances')
    this.#socketRoot = options.socketRoot ?? join(options.stateDir, 'sockets')
    this.#deadlines = { ...STOP_DEADLINES, ...options.stopDeadlines }
  }

  async check(): Promise<void> {
    await this.#makeDirectories()
    if (!(await canPass(this.account, this.#instancesDir))) {
      throw new ProvisionError(
        'UNAVAILABLE',
        `${this.account.name}, who runs Postgres, can't enter ${this.#instancesDir}`,
        {
          hint: 'Choose a data directory that other accounts can enter (not one below /root), or open the ones above it with chmod o+x.',
        },
      )
    }
    await this.#options.binaries()
  }

  async checkSettings(settings: Readonly<Record<string, string>>, major?: number): Promise<void> {
    const binaries = await this.#options.binaries(major)
    await this.#makeDirectories()
    await tryOutSettings(settings, binaries, { directory: this.#instancesDir, account: this.account })
  }

  async initialise(dataDir: string, signal?: AbortSignal): Promise<void> {
    await assertDataDir(dataDir, this.account)
    await initialiseCluster(dataDir, await this.#options.binaries(), this.account, signal)
  }

  async claim(dataDir: string): Promise<void> {
    await assertDataDir(dataDir, this.account)
    await removeCarriedPostmasterFile(this.#processes, dataDir)
  }

  async runSingleUser(dataDir: string, spec: SingleUserSpec, signal?: AbortSignal): Promise<string> {
    const binaries = await this.#options.binaries(await clusterMajor(dataDir))
    try {
      return await runSingleUser(dataDir, spec, binaries, this.account, signal)
    } catch (error) {
      throw error instanceof CommandError ? singleUserFailure(error) : error
    }
  }

  async start(spec: InstanceSpec, options: StartOptions = {}): Promise<Instance> {
    const directory = new InstanceDirectory(this.#instancesDir, spec.id)
    return this.#turns.take(spec.id, () => this.#start(directory, spec, options))
  }

  async stop(id: InstanceId, mode: 'clean' | 'immediate', cleanMs?: number): Promise<void> {
    const directory = new InstanceDirectory(this.#instancesDir, id)
    await this.#turns.take(id, () => this.#stop(directory, mode, cleanMs))
  }

  async halt(id: InstanceId): Promise<void> {
    await this.#withProcess(id, (server) => halt(this.#processes, server, this.#deadlines.haltMs))
  }

  async resume(id: InstanceId): Promise<void> {
    await this.#withProcess(id, (server) => resume(this.#processes, server))
  }

  async workersOf(id: InstanceId): Promise<number[]> {
    let pids: number[] = []
    await this.#withProcess(id, async (server) => {
      pids = (await startedBy(this.#processes, server)).map(({ pid }) => pid)
    })
    return pids
  }

  async remove(id: InstanceId): Promise<void> {
    const directory = new InstanceDirectory(this.#instancesDir, id)
    await this.#turns.take(id, () => this.#remove(directory))
  }

  async evict(dataDir: string): Promise<void> {
    await evict(this.#processes, dataDir, this.account, this.#deadlines)
  }

  async admit(id: InstanceId, users: readonly string[]): Promise<void> {
    const directory = new InstanceDirectory(this.#instancesDir, id)
    await this.#turns.take(id, async () => {
      const server = this.#servers.get(id) ?? (await this.#serverOf(directory))
      if (!server) throw notRunning(id)
      await directory.rewriteRules(hbaRules(users, server))
      // The server reads its rules before it takes another connection (postmaster.c, ServerLoop).
      if (!(await signalProcess(this.#processes, server.process, 'SIGHUP'))) throw notRunning(id)
    })
  }

  async inspect(id: InstanceId): Promise<Instance | undefined> {
    return this.#inspect(new InstanceDirectory(this.#instancesDir, id))
  }

  async list(): Promise<Instance[]> {
    const directories = await instanceDirectories(this.#instancesDir)
    await forEachBounded(directories, (directory) => this.#finishWhatWasCutOff(directory))
    const instances = await mapBounded(directories, (directory) => this.#inspect(directory))
    return instances.filter((instance) => instance !== undefined)
  }

  async logs(id: InstanceId, lines: number): Promise<string[]> {
    return tailLines(new InstanceDirectory(this.#instancesDir, id).file('postgres.log'), lines)
  }

  async renewCertificates(certificate: Certificate | undefined): Promise<number> {
    const text = certificate && (await readCertificate(certificate))
    const renew = (directory: InstanceDirectory) =>
      this.#turns.take(directory.id, async () => {
        const record = directory.readRecord()
        const process = record && (await processOf(this.#processes, directory, record))
        if (text !== undefined && process !== undefined && (await isRunning(this.#processes, process)))
          return renewCertificate(this.#processes, process, directory, text, this.account)
        directory.removeCertificate()
        return false
      })
    const renewed = await Promise.all((await instanceDirectories(this.#instancesDir)).map(renew))
    return renewed.filter(Boolean).length
  }

  async trimLogs(): Promise<void> {
    await mapInTurn(await instanceDirectories(this.#instancesDir), (directory) =>
      trimLog(directory.file('postgres.log')),
    )
  }

  async freeAbandonedMemory(): Promise<string[]> {
    const directories = await instanceDirectories(this.#instancesDir)
    const notes = await mapInTurn(directories, (directory) => directory.readProcess())
    return this.#abandoned.free(notes.flatMap((note) => note?.sharedMemory ?? []))
  }

  async #start(directory: InstanceDirectory, spec: InstanceSpec, options: StartOptions): Promise<Instance> {
    if (options.signal?.aborted) throw startAborted(options.signal.reason)
    const major = await clusterMajor(spec.dataDir)
    const { binDir } = await this.#options.binaries(major)
    const socketDir = this.#socketDir(spec.id)
    const { account } = this
    const args = await this.#prepare(directory, spec, { major, socketDir, account, labUser: this.#options.labUser })
    const logFile = directory.file('postgres.log')
    const logOffset = await logSize(logFile)
    await failPoint('postgres.record-written')
    await using undo = new AsyncDisposableStack()
    const prepare = await this.#limit(spec)
    undo.defer(async () => void (await this.#stop(directory, 'immediate')))
    using server = await launchServer({ binDir, args, dataDir: spec.dataDir, logFile, account, prepare })
    await failPoint('postgres.launched')
    // While it starts.
    const noting = this.#noteProcess(directory, server.pid)
    const noteItsMemory = async () => {
      const identity = await noting
      if (identity !== undefined) await noteMemory(this.#processes, directory, identity, spec.dataDir)
    }
    const at = { table: this.#processes, major, socketDir, logFile, logOffset, noteItsMemory }
    await allOf([noting, untilServing(server, spec, at, options)])
    const process = await noting
    if (process) this.#servers.set(spec.id, { process, major, tls: spec.tls !== undefined })
    await failPoint('postgres.ready')
    undo.move()
    return {
      id: spec.id,
      state: 'running',
      pid: server.pid,
      dataDir: spec.dataDir,
      port: spec.port,
      socketDir,
      logFile,
    }
  }

  async #noteProcess(directory: InstanceDirectory, pid: number): Promise<ProcessIdentity | undefined> {
    const identity = await noteProcess(this.#processes, directory, pid)
    await failPoint('postgres.process-noted')
    return identity
  }

  async #withProcess(id: InstanceId, work: (server: ProcessIdentity) => Promise<void>): Promise<void> {
    const directory = new InstanceDirectory(this.#instancesDir, id)
    await this.#turns.take(id, async () => {
      const process = this.#servers.get(id)?.process ?? (await this.#notedProcess(directory))
      if (process && (await isRunning(this.#processes, process))) await work(process)
    })
  }

  async #notedProcess(directory: InstanceDirectory): Promise<ProcessIdentity | undefined> {
    const record = directory.readRecord()
    return record && processOf(this.#processes, directory, record)
  }

  /** Of one that another process has started. */
  async #serverOf(directory: InstanceDirectory): Promise<Server | undefined> {
    const record = directory.readRecord()
    const process = record && (await processOf(this.#processes, directory, record))
    if (!record || !process) return undefined
    return { process, major: await clusterMajor(record.dataDir), tls: await directory.hasCertificate() }
  }

  /** All that comes before the server itself. Returns the server's arguments. */
  async #prepare(directory: InstanceDirectory, spec: InstanceSpec, at: PreparedFor): Promise<string[]> {
    const { args, place } = await prepareStart(directory, spec, at)
    const previous = await this.#inspect(directory)
    if (previous?.state === 'running') throw alreadyRunning(spec.dataDir)
    // If it was killed, it left memory and perhaps processes, of which only its postmaster.pid knows.
    if (previous !== undefined) await this.#stop(directory, 'immediate')
    await removeCarriedPostmasterFile(this.#processes, spec.dataDir)
    await this.#makeDirectories()
    await place()
    return args
  }

  /** A group for it where it is to have one, which its process has to enter before it begins. */
  async #limit({ id, limits }: InstanceSpec): Promise<((pid: number) => Promise<void>) | undefined> {
    const { cgroups } = this.#options
    if (!cgroups || !limits) return undefined
    await cgroups.make(id, limits)
    return (pid) => cgroups.add(id, pid)
  }

  async #remove(directory: InstanceDirectory): Promise<void> {
    const record = await this.#stop(directory, 'immediate')
    await failPoint('postgres.stopped')
    // A start that was cut off before its record was written may have made the directory already.
    await removeSocketDir(record?.socketDir ?? this.#socketDir(directory.id), this.account)
    await failPoint('postgres.socket-removed')
    await this.#options.cgroups?.remove(directory.id)
    await directory.remove()
  }

  async #finishWhatWasCutOff(directory: InstanceDirectory): Promise<void> {
    const isRemnant = await directory.isRemnant()
    if (!isRemnant && !(await lacksMemory(this.#processes, directory))) return
    await this.#turns.take(directory.id, async () => {
      // Under way until now, perhaps.
      if (await directory.isRemnant()) return this.#remove(directory)
      const record = directory.readRecord()
      const process = record && (await processOf(this.#processes, directory, record))
      if (record && process) await noteMemory(this.#processes, directory, process, record.dataDir)
    })
  }

  async #stop(
    directory: InstanceDirectory,
    asked: 'clean' | 'immediate',
    cleanMs = this.#deadlines.fastMs,
  ): Promise<InstanceRecord | undefined> {
    this.#servers.delete(directory.id)
    const record = directory.readRecord()
    // Without a record nothing has been started.
    if (record === undefined) return undefined
    const process = await processOf(this.#processes, directory, record)
    // One that is being killed stands still, and would not hear.
    const mode = process?.isEnding ? 'immediate' : asked
    const wasRunning = process !== undefined && (await isRunning(this.#processes, process))
    const asAsked = await shutDown(
      this.#processes,
      {
        dataDir: record.dataDir,
        postmaster: process,
        owner: this.account,
        sharedMemory: process?.sharedMemory ?? [],
        sentinel: process?.sentinel,
        note: async (memory) => process && noteEnd(directory, process, memory),
      },
      mode,
      { ...this.#deadlines, fastMs: cleanMs },
    )
    await directory.removePassfile()
    if (mode === 'clean' && wasRunning && !(asAsked && (await isShutDownCleanly(record.dataDir)))) {
      const log = await tailLines(directory.file('postgres.log'), 20)
      throw new ProvisionError('FAILED', `Postgres is stopped, but did not shut down cleanly${lastWords(log)}`, {
        hint: 'Started again, it recovers from its log. A snapshot of it as it is would make every clone do that.',
      })
    }
    return record
  }

  async #inspect(directory: InstanceDirectory): Promise<Instance | undefined> {
    const record = directory.readRecord()
    if (record === undefined) return undefined
    const process = await processOf(this.#processes, directory, record)
    const running = process !== undefined && !process.isEnding && (await isRunning(this.#processes, process))
    return {
      id: record.id,
      state: running ? 'running' : 'dead',
      pid: running ? process.pid : undefined,
      dataDir: record.dataDir,
      port: record.port,
      socketDir: record.socketDir,
      logFile: directory.file('postgres.log'),
    }
  }

  #socketDir(id: InstanceId): string {
    return chooseSocketDir(this.#socketRoot, id)
  }

  /** Passable, and no more, for the account of the servers. */
  async #makeDirectories(): Promise<void> {
    for (const path of [this.#options.stateDir, this.#instancesDir, this.#socketRoot]) {
      await mkdir(path, { recursive: true, mode: 0o711 })
    }
  }
}

function notRunning(id: InstanceId): ProvisionError {
  return new ProvisionError('NOT_FOUND', `no Postgres runs on volume ${id}`)
}
