import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { exists, isWithinReach, leadsSomewhere, readForeignFile } from './files.ts'

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

test('tells a link that leads nowhere from one that leads somewhere, and from nothing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'files-'))
  try {
    const at = (name: string) => join(directory, name)
    await writeFile(at('plain'), '')
    await symlink(at('plain'), at('link'))
    await symlink(at('absent'), at('dangling'))
    const look = async (name: string) => [
      await exists(at(name)),
      await leadsSomewhere(at(name)),
      await isWithinReach(at(name)),
    ]
    expect(await look('plain')).toEqual([true, true, true])
    expect(await look('link')).toEqual([true, true, true])
    expect(await look('dangling')).toEqual([true, false, false])
    for (const name of ['absent', 'plain/below']) expect(await look(name), name).toEqual([false, false, false])
  } finally {
    await rm(directory, { recursive: true })
  }
})
