import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readForeignFile } from './files.ts'

test('reads the beginning of a plain file, and nothing else that has its name', { timeout: 5000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'files-'))
  try {
    const at = (name: string) => join(directory, name)
    await writeFile(at('plain'), 'text')
    expect((await readForeignFile(at('plain')))?.toString()).toBe('text')
    await writeFile(at('large'), Buffer.alloc(100_000, 'x'))
    expect((await readForeignFile(at('large')))?.length).toBe(8192)
    execFileSync('mkfifo', [at('fifo')])
    await symlink(at('plain'), at('link'))
    await mkdir(at('directory'))
    for (const name of ['fifo', 'link', 'directory']) expect(await readForeignFile(at(name)), name).toBeUndefined()
    await expect(readForeignFile(at('absent'))).rejects.toMatchObject({ code: 'ENOENT' })
  } finally {
    await rm(directory, { recursive: true })
  }
})
