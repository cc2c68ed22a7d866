/** One line of what Prometheus reads. */
export interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

export interface Family {
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  samples: Sample[]
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/y

/**
 * Reads Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format), as strictly as it can be read:
 * each name once, its lines together, with help and type before them; no series twice; histograms that add up.
 *
 * @throws Error naming the line
 */
export function parseMetrics(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const families = new Map<string, Family>()
  let current: [name: string, family: Family] | undefined
  let help: [name: string, text: string] | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue
    const [, said, of = '', rest = ''] = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line) ?? []
    if (said === 'HELP') help = [of, rest]
    else if (said === 'TYPE') {
      if (help?.[0] !== of || families.has(of) || !/^(counter|gauge|histogram)$/.test(rest)) throw new Error(line)
      current = [of, { help: help[1], type: rest as Family['type'], samples: [] }]
      families.set(...current)
    } else {
      const sample = parseSample(line)
      const ofHistogram = /_(?:bucket|sum|count)$/
      const name = current?.[1].type === 'histogram' ? sample.name.replace(ofHistogram, '') : sample.name
      if (name !== current?.[0]) throw new Error(`out of place: ${line}`)
      current[1].samples.push(sample)
    }
  }
  for (const [name, family] of families) requireSound(name, family)
  return families
}

function parseSample(line: string): Sample {
  const [, name = '', inner, number = ''] = new RegExp(`^(${NAME})(?:\\{(.+)\\})? (\\S+)$`).exec(line) ?? []
  if (name === '' || !/^(?:[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?|\+Inf)$/.test(number)) throw new Error(line)
  const labels: Record<string, string> = {}
  for (let at = 0; inner !== undefined && at < inner.length; at++) {
    LABEL.lastIndex = at
    const [whole, label = '', value = ''] = LABEL.exec(inner) ?? []
    if (whole === undefined || label in labels) throw new Error(line)
    labels[label] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped))
    at += whole.length
    if (at < inner.length && inner[at] !== ',') throw new Error(line)
  }
  return { name, labels, value: number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number) }
}

function requireSound(name: string, { type, samples }: Family): void {
  const series = samples.map((sample) => keyOf(sample))
  if (new Set(series).size !== series.length) throw new Error(`${name} has a series twice`)
  if (type === 'counter' && samples.some(({ value }) => !(value >= 0))) throw new Error(`${name} is below 0`)
  if (type !== 'histogram') return
  const byLabels = Object.groupBy(samples, ({ labels: { le: _, ...labels } }) => keyOf({ name, labels }))
  for (const [key, group = []] of Object.entries(byLabels)) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`)
    const bounds = buckets.map(({ labels: { le } }) => (le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le)))
    const rises = (values: number[], least: number) =>
      values.every((value, n) => n === 0 || value - (values[n - 1] ?? 0) >= least)
    const count = group.find((sample) => sample.name === `${name}_count`)?.value
    const whole = bounds.at(-1) === Number.POSITIVE_INFINITY && buckets.at(-1)?.value === count
    const hasSum = group.some((sample) => sample.name === `${name}_sum`)
    const counts = buckets.map(({ value }) => value)
    if (!whole || !hasSum || !rises(bounds, Number.MIN_VALUE) || !rises(counts, 0))
      throw new Error(`${key} does not add up`)
  }
}

function keyOf({ name, labels }: Pick<Sample, 'name' | 'labels'>): string {
  return JSON.stringify([name, Object.entries(labels).sort()])
}

/** The value of one series, by its name and all of its labels; undefined where there is none. */
export function numberOf(
  families: Map<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const all = [...families.values()].flatMap(({ samples }) => samples)
  return all.find((sample) => keyOf(sample) === keyOf({ name, labels }))?.value
}
