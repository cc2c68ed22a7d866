import { readFile } from 'node:fs/promises'

/** How many rows each COPY block of a plain dump holds, by the table's name as it stands there. */
export async function copiedRows(path: string): Promise<Map<string, number>> {
  const rows = new Map<string, number>()
  let table: string | undefined
  for (const line of (await readFile(path, 'utf8')).split('\n')) {
    const begins = /^COPY (\S+) .*FROM stdin;$/.exec(line)?.[1]
    if (begins !== undefined) {
      table = begins
      rows.set(begins, 0)
    } else if (line === '\\.') table = undefined
    else if (table !== undefined) rows.set(table, (rows.get(table) ?? 0) + 1)
  }
  return rows
}
