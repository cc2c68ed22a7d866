import type { ClientOptions } from './client.ts'
import { Lab } from './lab.ts'
import type { Transport } from './transport.ts'
import { type UndiciTransportOptions, undiciTransport } from './undici.ts'
import { VERSION } from './version.ts'

/** Where the server listens unless it is told otherwise. */
const DEFAULT_URL = 'http://127.0.0.1:2345'

export interface LabOptions extends ClientOptions, UndiciTransportOptions {
  /** In place of undici: then `ca` is for it to know. Closed with the lab. */
  transport?: Transport | undefined
}

/**
 * A lab at an address. Nothing is sent before the first call.
 *
 * @throws TypeError for an address or a token that can't be used
 * @example
 * await using lab = openLab({ url: 'http://127.0.0.1:2345', token })
 */
export function openLab({ transport, ca, ...options }: LabOptions): Lab {
  if (transport && ca !== undefined)
    throw new TypeError('ca is for the transport that openLab makes: give it to your own instead')
  const userAgent = options.userAgent ?? `dblab-sdk/${VERSION} node/${process.versions.node}`
  return new Lab({ ...options, userAgent }, transport ?? undiciTransport({ ca }))
}

/**
 * The lab that `DBLAB_URL` (http://127.0.0.1:2345 where unset) and `DBLAB_TOKEN` name. Nothing else in the SDK reads the environment.
 *
 * @param options stand over the environment
 * @throws TypeError for an address or a token that can't be used
 */
export function labFromEnvironment(
  options: Partial<LabOptions> = {},
  environment: NodeJS.ProcessEnv = process.env,
): Lab {
  const url = options.url ?? (environment.DBLAB_URL || DEFAULT_URL)
  return openLab({ ...options, url, token: options.token ?? (environment.DBLAB_TOKEN || undefined) })
}
