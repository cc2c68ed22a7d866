import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { hasProgram } from '@dblab/provision/testbed'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestLab } from '../support/lab.ts'

const execute = promisify(execFile)
const server = fileURLToPath(new URL('../..', import.meta.url))
const readme = await readFile(join(server, '../../README.md'), 'utf8')

/** The block that stands under `<!-- tested: NAME -->`, as a reader would copy it. */
function block(name: string): string {
  const [, text] = new RegExp(`<!-- tested: ${name} -->\\n\`\`\`\\w+\\n([^]*?)\`\`\``).exec(readme) ?? []
  if (text === undefined) throw new Error(`the README has no block ${name}`)
  return text
}

describe('the README', { timeout: 60_000 }, () => {
  let lab: TestLab
  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy', env: { DBLAB_TOKEN: '' } })
    await lab.start()
  })
  afterAll(async () => lab[Symbol.asyncDispose]())

  /** In the lab's directory, as the reader's shell is in the checkout's. */
  async function shell(script: string): Promise<string> {
    const elsewhere = script.replaceAll('http://127.0.0.1:2345', lab.url)
    const env = { PATH: process.env.PATH }
    const { stdout } = await execute('bash', ['-euo', 'pipefail', '-c', elsewhere], { cwd: lab.directory, env })
    return stdout
  }

  test.skipIf(!hasProgram('psql'))(
    'makes a first clone by curl, and changes and resets it by psql (needs psql)',
    async () => {
      const stdout = await shell(`${block('curl')}\n${block('psql')}`)
      expect(stdout).toContain('"code":"OK"')
      const counts = [...stdout.matchAll(/^ +(\d+)$/gm)].map(([, count]) => Number(count))
      expect(counts).toEqual([expect.any(Number), expect.any(Number)])
      // Orders, then the reviews that the reset brought back.
      for (const count of counts) expect(count).toBeGreaterThan(0)
      expect(stdout).toContain('"code":"DELETING"')
    },
  )

  /** Runs a block that uses the SDK, to its end or until it has printed so much. */
  async function sdkExample(name: string, { stopAt }: { stopAt?: RegExp } = {}): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'dblab-readme-'))
    try {
      await writeFile(join(directory, 'package.json'), '{"type":"module"}')
      await symlink(join(server, 'node_modules'), join(directory, 'node_modules'))
      await writeFile(join(directory, 'example.ts'), block(name))
      const token = (await lab.readDataFile('token')).trim()
      const env = { DBLAB_URL: lab.url, DBLAB_TOKEN: token }
      const running = execute(process.execPath, [join(directory, 'example.ts')], { env })
      let printed = ''
      running.child.stdout?.on('data', (chunk) => {
        printed += chunk
        if (stopAt?.test(printed)) running.child.kill()
      })
      const stopped = stopAt === undefined ? undefined : (error: { stdout: string }) => error
      return (await running.catch(stopped)).stdout
    } finally {
      await rm(directory, { recursive: true })
    }
  }

  test('runs its example of the SDK, and leaves no clone', async () => {
    expect(await sdkExample('sdk')).toMatch(/orders: \d+/)
    const token = (await lab.readDataFile('token')).trim()
    expect(await (await lab.fetch('/clones', { token })).json()).toEqual([])
  })

  test('follows what happens by curl and by the SDK', async () => {
    const env = 'export DBLAB_URL=http://127.0.0.1:2345 DBLAB_TOKEN=$(cat .dblab/token)'
    // It would go on for ever: 28 is what curl says when its time is over.
    const curl = block('events').trim().replace('curl', 'curl --max-time 1')
    expect(await shell(`${env}\n${curl} || [ $? = 28 ]`)).toMatch(/^id: \S+-\d+\nevent: resync\ndata: \{"id".*\}\n\n/m)
    expect(await sdkExample('follow', { stopAt: /clones: 0/ })).toMatch(/clones: 0/)
  })

  test('speaks of every error code that there is', async () => {
    const document = JSON.parse(await readFile(join(server, 'openapi.json'), 'utf8'))
    const codes: string[] = document.components.schemas.ErrorCode.enum
    expect(codes.length).toBeGreaterThan(20)
    expect(codes.filter((code) => !readme.includes(`\`${code}\``))).toEqual([])
  })
})
