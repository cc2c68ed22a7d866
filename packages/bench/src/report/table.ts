import type { Row, Unit } from '../suites/contract.ts'
import type { Report, SuiteReport } from './json.ts'

const HEAD = `| | p50 | p95 | p99 | min | runs | beside it | p50 | p95 | min | ratio | 95 % |
| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |`

/** What the run was made on, in one line. */
export function machineLine({ machine, driver, quick }: Report): string {
  return Object.entries({ ...machine, driver, quick })
    .map(([key, value]) => `${key}: ${value}`)
    .join(', ')
}

/** A suite's rows as a Markdown table, with what belongs to it. */
export function suiteTable({ name, rows, notes, skipped, failure }: SuiteReport): string {
  const parts = [`## ${name}`]
  if (rows.length > 0) parts.push(`${HEAD}\n${rows.map(line).join('\n')}`)
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join('\n'))
  if (skipped.length > 0) parts.push(skipped.map(({ what, reason }) => `- skipped: ${what}: ${reason}`).join('\n'))
  if (failure !== undefined) parts.push(`FAILED: ${failure}`)
  return `${parts.join('\n\n')}\n`
}

function line({ name, unit, figures, baseline, ratio }: Row): string {
  const beside = baseline?.figures
  const cells = [
    `${name}${unit === 'count' ? '' : `, ${unit === 'bytes' ? 'kB' : unit}`}`,
    ...[figures.p50, figures.p95, figures.p99, figures.min].map((value) => inUnit(value, unit)),
    String(figures.runs),
    baseline?.name ?? '',
    ...(beside ? [beside.p50, beside.p95, beside.min].map((value) => inUnit(value, unit)) : ['', '', '']),
    ratio ? ratio.p50.toFixed(2) : '',
    ratio ? `${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}` : '',
  ]
  return `| ${cells.join(' | ')} |`
}

/** Bytes are shown in kilobytes of 1000. */
function inUnit(value: number, unit: Unit): string {
  if (unit === 'ms') return value.toFixed(1)
  return (unit === 'bytes' ? value / 1000 : value).toFixed(0)
}
