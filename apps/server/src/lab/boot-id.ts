import { readIfThere } from './files.ts'

/** Differs after every boot of the host (proc(5), /proc/sys/kernel/random/boot_id). Null where the system has none. */
export async function readBootId(): Promise<string | null> {
  return (await readIfThere('/proc/sys/kernel/random/boot_id'))?.trim() ?? null
}
