import { ProvisionError } from '../../errors.ts'

/** One property of one dataset, as `zfs get -Hp -o name,property,value,source` prints it (zfs-get(8)). */
interface Property {
  value: string
  /** Set on this very dataset, rather than inherited or computed. */
  local: boolean
}

export type Properties = ReadonlyMap<string, Property>

/** The properties of each dataset, in zfs's own order. */
export function parseProperties(stdout: string): Map<string, Properties> {
  const datasets = new Map<string, Map<string, Property>>()
  for (const line of linesOf(stdout)) {
    const [name, property, value, source, ...rest] = line.split('\t')
    if (
      name === undefined ||
      property === undefined ||
      value === undefined ||
      source === undefined ||
      rest.length > 0
    ) {
      throw unknownForm('zfs get')
    }
    const properties = datasets.get(name) ?? new Map<string, Property>()
    datasets.set(name, properties.set(property, { value, local: source === 'local' }))
  }
  return datasets
}

/** A computed property, which zfs always has. */
export function propertyOf(properties: Properties, name: string): string {
  const property = properties.get(name)
  if (!property) throw unknownForm('zfs get')
  return property.value
}

/** A property of ours: undefined unless it was set on this very dataset. */
export function localPropertyOf(properties: Properties, name: string): string | undefined {
  const property = properties.get(name)
  return property?.local ? property.value : undefined
}

export function bytesOf(properties: Properties, name: string): number {
  return parseNumber(propertyOf(properties, name), 'zfs get')
}

/** `zfs list -Hp -o name,creation` (zfs-list(8)): seconds since 1970. */
export function parseSnapshots(stdout: string): { name: string; createdAt: Date }[] {
  return linesOf(stdout).map((line) => {
    const [name, creation, ...rest] = line.split('\t')
    if (name === undefined || rest.length > 0) throw unknownForm('zfs list')
    return { name, createdAt: new Date(parseNumber(creation, 'zfs list') * 1000) }
  })
}

export interface PoolFacts {
  sizeBytes: number
  allocatedBytes: number
  freeBytes: number
  /** ONLINE, DEGRADED, FAULTED, OFFLINE, REMOVED, UNAVAIL, SUSPENDED (zpoolconcepts(7)). */
  health: string
}

/** `zpool list -Hp -o size,alloc,free,health` of one pool (zpool-list(8)). */
export function parsePool(stdout: string): PoolFacts {
  const [size, allocated, free, health] = stdout.trim().split('\t')
  if (health === undefined) throw unknownForm('zpool list')
  const [sizeBytes, allocatedBytes, freeBytes] = [size, allocated, free].map((text) => parseNumber(text, 'zpool list'))
  return { sizeBytes: sizeBytes ?? 0, allocatedBytes: allocatedBytes ?? 0, freeBytes: freeBytes ?? 0, health }
}

/** What `zpool status -x` says is wrong with a pool: its `status:` in one line; empty for a healthy one. */
export function parseTrouble(stdout: string): string {
  const lines = linesOf(stdout)
  const first = lines.findIndex((line) => line.startsWith('status:'))
  if (first < 0) return ''
  const after = lines.slice(first + 1)
  const end = after.findIndex((line) => !line.startsWith('\t'))
  const whole = [lines[first]?.slice('status:'.length) ?? '', ...after.slice(0, end < 0 ? undefined : end)]
  return whole.map((line) => line.trim()).join(' ')
}

export function linesOf(stdout: string): string[] {
  return stdout.split('\n').filter((line) => line !== '')
}

function parseNumber(text: string | undefined, command: string): number {
  const number = Number(text)
  if (text === undefined || !/^\d+$/.test(text) || !Number.isSafeInteger(number)) throw unknownForm(command)
  return number
}

function unknownForm(command: string): ProvisionError {
  return new ProvisionError('FAILED', `the output of \`${command}\` has an unknown form`)
}
