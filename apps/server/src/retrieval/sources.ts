import { ProvisionError } from '@dblab/provision'
import type { CheckedRows, CheckedSource, Reporter, Source } from './source.ts'

/**
 * Several sources as one, which fill one base, one after the other. The data is as old as the oldest of them.
 *
 * @throws ProvisionError INVALID where they do not go together
 */
export async function checkAll(sources: readonly Source[], reporter: Reporter): Promise<CheckedSource> {
  const checked: CheckedSource[] = []
  for (const source of sources) checked.push(await source.check(reporter))
  const [first, ...others] = checked
  if (!first) throw new Error('a generation needs a source')
  return others.length === 0 ? first : together(checked.map(requireRows))
}

/** A whole cluster leaves no room for another's databases. */
function requireRows(checked: CheckedSource): CheckedRows {
  if (checked.brings === 'rows') return checked
  throw new ProvisionError('INVALID', 'a source that brings a whole cluster can not go with others', {
    hint: 'Leave the others out of retrieval.sources, or bring all of them in as logical or file.',
  })
}

function together(checked: readonly CheckedRows[]): CheckedRows {
  const [main, ...others] = checked.flatMap(({ databases }) => databases)
  // A clone is one server, and so like one of them.
  const planSettings = checked[0]?.planSettings
  if (main === undefined) throw new Error('each source has a database')
  const twice = others.find((name, index) => name === main || others.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new ProvisionError('INVALID', `two sources bring a database ${JSON.stringify(twice)}`, {
      hint: 'Leave it out of one of them: names of databases are kept.',
    })
  }
  return {
    brings: 'rows',
    databases: [main, ...others],
    sample: false,
    ...(planSettings && { planSettings }),
    message: checked.map(({ message }) => message).join('; '),
    neededBytes: checked.reduce((sum, one) => sum + one.neededBytes, 0),
    loginRoles: [...new Set(checked.flatMap(({ loginRoles }) => loginRoles))],
    fill: async (staging, reporter) => {
      const times: number[] = []
      for (const one of checked) times.push((await one.fill(staging, reporter)).getTime())
      return new Date(Math.min(...times))
    },
  }
}
