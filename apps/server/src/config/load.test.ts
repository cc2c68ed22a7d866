import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ConfigError, loadConfig } from './load.ts'

let directory: string
let named: string

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), 'dblab-config-')))
  named = join(directory, 'named.yaml')
  await writeFile(join(directory, 'dblab.yaml'), 'port: 1111\n')
  await writeFile(named, 'port: 2222\nlogLevel: warn\nlogFormat: json\n')
})

afterAll(() => rm(directory, { recursive: true }))

test('DBLAB_CONFIG names the file, in place of dblab.yaml in the working directory', () => {
  for (const DBLAB_CONFIG of [undefined, ''])
    expect(loadConfig({ DBLAB_CONFIG }, directory)).toMatchObject({ config: { port: 1111, logFormat: 'text' } })
  for (const DBLAB_CONFIG of [named, 'named.yaml'])
    expect(loadConfig({ DBLAB_CONFIG }, directory)).toMatchObject({
      file: named,
      config: { port: 2222, logLevel: 'warn', logFormat: 'json' },
    })
})

test('a file that DBLAB_CONFIG names has to be there', () => {
  const file = join(directory, 'absent.yaml')
  const load = () => loadConfig({ DBLAB_CONFIG: file }, directory)
  expect(load).toThrow(new ConfigError(`DBLAB_CONFIG: ${file}: there is no such file`))
})

test('DBLAB_LOG_LEVEL stands over the file, and is named where it is wrong', () => {
  const load = (level: string) => loadConfig({ DBLAB_CONFIG: named, DBLAB_LOG_LEVEL: level }, directory).config.logLevel
  expect(load('debug')).toBe('debug')
  expect(load('')).toBe('warn')
  expect(() => load('loud')).toThrow(/^DBLAB_LOG_LEVEL: logLevel: must be one of /)
})

test('a logFormat that there is not is refused, with its line', async () => {
  const file = join(directory, 'wrong.yaml')
  await writeFile(file, 'port: 3333\nlogFormat: xml\n')
  expect(() => loadConfig({ DBLAB_CONFIG: file }, directory)).toThrow(`${file}:2: logFormat: must be one of `)
})

test('what the documents show of a configuration is one', async () => {
  const root = new URL('../../../../', import.meta.url)
  const blocks: string[] = []
  for (const name of ['README.md', 'docs/retrieval.md', 'docs/masking.md', 'docs/retrieval-archives.md']) {
    const text = await readFile(new URL(name, root), 'utf8')
    blocks.push(...[...text.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, yaml = '']) => yaml))
  }
  const whole = blocks.filter((yaml) => /^\w+:/.test(yaml))
  expect(whole.length).toBeGreaterThan(2)
  const file = join(directory, 'shown.yaml')
  for (const yaml of whole) {
    await writeFile(file, yaml)
    expect(() => loadConfig({ DBLAB_CONFIG: file }, directory), yaml).not.toThrow()
  }
  // A key that YAML takes for nothing.
  await writeFile(file, 'retrieval: { masking: { rules: [{ table: a.b, column: c, null: true }] } }')
  const { rules } = loadConfig({ DBLAB_CONFIG: file }, directory).config.retrieval.masking ?? { rules: [] }
  expect(rules).toEqual([{ table: 'a.b', column: 'c', null: true }])
})
