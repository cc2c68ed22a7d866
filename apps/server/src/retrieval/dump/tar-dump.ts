import { ProvisionError } from '@dblab/provision'

/** A tar member's header takes one block; its format is named at 257, where pg_dump writes `ustar` too. */
export const tarBlockBytes = 512

/** The files of a directory dump, as PostgreSQL's src/bin/pg_dump/pg_backup_directory.c and compress_io.c name them. */
const ofDirectoryDump = /(?:^|\/)(?:toc\.dat|\d+\.dat|blobs?(?:_\d+)*\.(?:toc|dat))(?:\.(?:gz|lz4|zst))?$/

export function isTar(start: Buffer): boolean {
  return start.toString('latin1', 257, 262) === 'ustar'
}

/**
 * Where a tar dump's table of contents begins: it is the first member.
 *
 * @throws ProvisionError INVALID for a tar archive of anything else
 */
export function tarHead(path: string, start: Buffer): Buffer {
  const names = memberNames(start)
  if (names[0] === 'toc.dat') return start.subarray(tarBlockBytes)
  if (names.some((name) => ofDirectoryDump.test(name))) {
    throw new ProvisionError('INVALID', `${path} is a tar archive of a directory dump, which pg_restore can't read`, {
      hint: `Unpack it first, with tar -xf ${path}, and name the directory that comes out.`,
    })
  }
  throw new ProvisionError('INVALID', `${path} is a tar archive, but not one that pg_dump --format=tar made`, {
    hint: `Unpack it first, with tar -xf ${path}, and name the dump that is in it.`,
  })
}

/**
 * The names of the first members, as far as these bytes go: a packed directory comes before its files.
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html
 */
function memberNames(start: Buffer): string[] {
  const names: string[] = []
  let offset = 0
  while (offset + tarBlockBytes <= start.length && isTar(start.subarray(offset))) {
    names.push(start.toString('latin1', offset, offset + 100).replace(/\0.*$/s, ''))
    const sizeBytes = Number.parseInt(start.toString('latin1', offset + 124, offset + 136), 8)
    // What is larger than eight gigabytes is written in another way, and goes beyond these bytes anyhow.
    if (Number.isNaN(sizeBytes)) break
    offset += tarBlockBytes * (1 + Math.ceil(sizeBytes / tarBlockBytes))
  }
  return names
}
