import { readFile } from 'node:fs/promises'

export interface Mount {
  mountPoint: string
  fileSystem: string
  /** The device, for a file system that is on one. */
  source: string
}

/** Everything mounted, the latest last (proc_pid_mountinfo(5)). */
export async function listMounts(): Promise<Mount[]> {
  return parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'))
}

/** What one sees at this path, when it's a mount point: of several mounted over each other, the last. */
export async function mountAt(path: string): Promise<Mount | undefined> {
  return (await listMounts()).findLast((mount) => mount.mountPoint === path)
}

/** What a file or directory lies in; its path without links. */
export async function mountHolding(path: string): Promise<Mount | undefined> {
  return holding(await listMounts(), path)
}

/** The innermost of those above it, and the last that was mounted there. */
export function holding(mounts: readonly Mount[], path: string): Mount | undefined {
  const isAbove = ({ mountPoint }: Mount) => `${path}/`.startsWith(mountPoint === '/' ? '/' : `${mountPoint}/`)
  const above = mounts.filter(isAbove)
  return above.toSorted((a, b) => a.mountPoint.length - b.mountPoint.length).at(-1)
}

export function parseMountinfo(text: string): Mount[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      // The number of optional fields before the lone hyphen varies.
      const [before = '', after = ''] = line.split(' - ')
      const [fileSystem = '', source = ''] = after.split(' ')
      return { mountPoint: unescaped(before.split(' ')[4] ?? ''), fileSystem, source: unescaped(source) }
    })
}

/** Blanks and backslashes stand there as octal numbers of bytes. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}
