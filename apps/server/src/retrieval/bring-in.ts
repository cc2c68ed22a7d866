import { resolve } from 'node:path'
import { LabError } from '../errors.ts'
import type { Lab } from '../lab/lab.ts'
import { places } from '../lab/places.ts'
import type { Logger } from '../log.ts'
import { FileSource } from './dump/file-source.ts'
import { makeGeneration } from './generation.ts'
import { RunRecorder } from './runs/run-recorder.ts'
import { sampleSource } from './sample/sample-source.ts'
import type { Source } from './source.ts'

export interface BringInOptions {
  /** A dump to import. */
  import?: string
  /** The sources are asked now, whatever there is already. */
  refresh: boolean
  /** Of the sample. */
  scale: number
}

/**
 * Brings in the dump that was asked for, before the lab serves. Else the sources are asked where that is wanted or the lab is empty, while it serves;
 * an empty lab without sources gets the sample.
 */
export async function bringIn(lab: Lab, options: BringInOptions, signal: AbortSignal, log: Logger): Promise<void> {
  const { catalogue, readOnly } = lab
  const { retrieval } = lab.services
  if (readOnly) {
    if (options.import === undefined && !options.refresh) return
    throw new LabError('CATALOGUE_UNREADABLE', 'nothing can be imported while the catalogue is lost')
  }
  const isEmpty = catalogue.volumes.base() === undefined
  if (options.import !== undefined) {
    await importNow(lab, resolve(options.import), signal, log)
  } else if (options.refresh) {
    // What is wrong is said at the terminal where the source was named.
    await retrieval.check(signal)
    retrieval.refresh('REQUEST')
  } else if (isEmpty && retrieval.isConfigured) {
    retrieval.refresh('START')
  } else if (isEmpty) {
    log.info('making the sample database', { megabytes: Math.ceil(300 * options.scale) })
    await bringInNow(lab, sampleSource(options.scale), signal, log)
  }
}

async function importNow(lab: Lab, path: string, signal: AbortSignal, log: Logger): Promise<void> {
  const { account } = lab.provisioner.runtime
  const loginDirectory = places.importLogin(lab.foundations.identity.stateDir)
  const id = await bringInNow(lab, new FileSource({ path, account, loginDirectory }), signal, log)
  const [newest] = lab.catalogue.snapshots.listPublished()
  if (newest && newest.id !== id) {
    log.warn('the imported data is older than data that is there: clones that name no snapshot still get that', {
      imported: id,
      newest: newest.id,
    })
  }
}

async function bringInNow(lab: Lab, source: Source, signal: AbortSignal, log: Logger): Promise<string> {
  const onChange = () => undefined
  const recorder = new RunRecorder({ trigger: 'REQUEST', source: source.description, log, signal, onChange })
  return makeGeneration(await lab.generationOptions(), await source.check(recorder), recorder)
}
