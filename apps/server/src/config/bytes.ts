import { z } from 'zod'

const units: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
}

const BYTES = 'must be bytes, such as 20GB or 500MiB'

/** Bytes, as a number or as people write them: `500MB`, `20 GiB`. */
export const bytes = z
  .union([z.number(), z.string()], { error: BYTES })
  .transform((value, context) => {
    if (typeof value === 'number') return value
    const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([KMGT]?i?B)$/i.exec(value.trim()) ?? []
    const factor = unit === undefined ? undefined : units[unit.toUpperCase()]
    if (number === undefined || factor === undefined) {
      context.addIssue({ code: 'custom', message: BYTES })
      return z.NEVER
    }
    return Math.round(Number(number) * factor)
  })
  .pipe(z.number().int().positive())
