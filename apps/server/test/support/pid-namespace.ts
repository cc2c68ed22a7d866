import { readlinkSync } from 'node:fs'

/**
 * False in a container, most often: from there other processes of the machine can't be seen, and the lab frees no memory that they might use.
 * The number is PROC_PID_INIT_INO (include/linux/proc_ns.h).
 */
export const seesAllProcesses = process.platform === 'linux' && readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]'
