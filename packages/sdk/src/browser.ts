// For browsers: everything but what needs Node. Imports no undici, and reads no environment.
import type { ClientOptions } from './client.ts'
import { fetchTransport } from './fetch.ts'
import { Lab } from './lab.ts'
import type { Transport } from './transport.ts'

export * from './public.ts'

export interface LabOptions extends ClientOptions {
  /** In place of `fetch`. Closed with the lab. */
  transport?: Transport | undefined
}

/**
 * A lab at an address, over the platform's `fetch`. Nothing is sent before the first call. No User-Agent header unless asked for:
 * browsers have their own.
 *
 * @throws TypeError for an address or a token that can't be used
 */
export function openLab({ transport, ...options }: LabOptions): Lab {
  return new Lab(options, transport ?? fetchTransport())
}
