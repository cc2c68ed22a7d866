import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const modules = fileURLToPath(new URL('../node_modules', import.meta.url))

/** A project of one test, where the tools that this package has installed are found as in any other. */
export class Project implements AsyncDisposable {
  readonly directory: string
  readonly #url: string

  private constructor(directory: string, url: string) {
    this.directory = directory
    this.#url = url
  }

  static async make(url: string): Promise<Project> {
    const project = new Project(await mkdtemp(join(modules, '.migrations-')), url)
    await project.write('package.json', '{ "type": "module" }')
    return project
  }

  async write(name: string, text: string): Promise<void> {
    const path = join(this.directory, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }

  /** @throws with everything that it printed */
  run(tool: string, ...args: string[]): Promise<string> {
    return this.#run(tool, args)
  }

  /** For a command that has done its work when it says so, and does not end. */
  runUntil(word: string, tool: string, ...args: string[]): Promise<string> {
    return this.#run(tool, args, word)
  }

  async #run(tool: string, args: string[], lastWord?: string): Promise<string> {
    const env = {
      // Not the one of npm, which is a script between us and the process that is to end.
      PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
      HOME: this.directory,
      DATABASE_URL: this.#url,
      CHECKPOINT_DISABLE: '1',
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
    }
    const options = { cwd: this.directory, env, timeout: 60_000 }
    const running = execute(join(modules, '.bin', tool), args, options)
    const { child } = running
    child.stdin?.end()
    let seen = ''
    const hasSaidSo = () => lastWord !== undefined && seen.includes(lastWord)
    child.stdout?.on('data', (chunk) => {
      seen += chunk
      if (hasSaidSo()) child.kill()
    })
    try {
      const { stdout, stderr } = await running
      return stdout + stderr
    } catch (error) {
      if (hasSaidSo()) return seen
      const { stdout, stderr } = error as { stdout?: string; stderr?: string }
      throw new Error(`${tool} ${args.join(' ')} failed:\n${stdout ?? ''}${stderr ?? ''}`, { cause: error })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true })
  }
}
