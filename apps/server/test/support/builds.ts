import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const server = fileURLToPath(new URL('../../', import.meta.url))

/** The built server once more, elsewhere and under another version: what an upgrade puts in the place of the old one. */
export async function anotherBuild(version: string): Promise<{ main: string } & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'dblab-build-'))
  for (const part of ['dist', 'openapi.json']) await cp(join(server, part), join(directory, part), { recursive: true })
  const manifest = JSON.parse(await readFile(join(server, 'package.json'), 'utf8')) as Record<string, unknown>
  await writeFile(join(directory, 'package.json'), JSON.stringify({ ...manifest, version }))
  await symlink(join(server, 'node_modules'), join(directory, 'node_modules'))
  return {
    main: join(directory, 'dist/main.js'),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  }
}
