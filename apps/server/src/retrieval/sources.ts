import { ProvisionError } from '@dblab/provision'
import type { CheckedSource, Reporter, Source } from './source.ts'

/**
 * Several sources as one, which fill one base, one after the other. The data is as old as the oldest of them.
 *
 * @throws ProvisionError INVALID where two bring a database of one name
 */
export async function checkAll(sources: readonly Source[], reporter: Reporter): Promise<CheckedSource> {
  const checked: CheckedSource[] = []
  for (const source of sources) checked.push(await source.check(reporter))
  const [first] = checked
  if (!first) throw new Error('a generation needs a source')
  if (checked.length === 1) return first
  const databases = checked.flatMap((one) => one.databases)
  const twice = databases.find((name, index) => databases.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new ProvisionError('INVALID', `two sources bring a database ${JSON.stringify(twice)}`, {
      hint: 'Leave it out of one of them: names of databases are kept.',
    })
  }
  return {
    databases: [first.databases[0], ...databases.slice(1)],
    sample: false,
    message: checked.map(({ message }) => message).join('; '),
    neededBytes: checked.reduce((sum, one) => sum + one.neededBytes, 0),
    loginRoles: [...new Set(checked.flatMap((one) => one.loginRoles))],
    fill: async (staging, told) => {
      const times: number[] = []
      for (const one of checked) times.push((await one.fill(staging, told)).getTime())
      return new Date(Math.min(...times))
    },
  }
}
