import { createImportRole } from '@dblab/provision'
import { tellRestore } from '../dump/restore-progress.ts'
import type { CheckedRows, Source } from '../source.ts'
import { fillSample } from './sample.ts'

/** The sample's database. */
const SAMPLE_DATABASE = 'shop'

/** What a lab gets that has no data and no source: a made up shop. */
export function sampleSource(scale: number): Source {
  const checked: CheckedRows = {
    brings: 'rows',
    databases: [SAMPLE_DATABASE],
    sample: true,
    message: 'Sample database',
    neededBytes: 0,
    loginRoles: [],
    fill: async ({ instance }, reporter) => {
      await createImportRole(instance)
      const onProgress = tellRestore(reporter)
      await fillSample(instance, { database: SAMPLE_DATABASE, scale, signal: reporter.signal, onProgress })
      return new Date()
    },
  }
  return { kind: 'sample', description: 'the sample database', check: async () => checked }
}
