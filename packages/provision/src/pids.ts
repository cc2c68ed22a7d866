import { readdir } from 'node:fs/promises'

/** Of every process that is seen (proc(5)). */
export async function allPids(): Promise<number[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
}
