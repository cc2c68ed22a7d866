/** Student's t for a two-sided interval of 95 %, by degrees of freedom from 1 on (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2). */
const T_975 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
] as const

/** Beyond the table, where it only falls: its last value is a little too wide, and so never too sure. */
const BEYOND = 2.042

/**
 * How many standard errors a 95 % interval reaches to each side.
 *
 * @throws RangeError for less than one degree of freedom
 */
export function studentQuantile(degreesOfFreedom: number): number {
  if (!(degreesOfFreedom >= 1)) throw new RangeError('an interval needs two samples')
  return T_975[degreesOfFreedom - 1] ?? BEYOND
}
