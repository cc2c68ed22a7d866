import type { Warning } from '@dblab/models'
import type { Config } from '../config/schema.ts'
import { cloneCertificate } from '../lab/certificate.ts'

/** A limit that is configured and can't be kept: why, and what would help. */
export interface Unenforced {
  message: string
  hint: string
}

/**
 * Reasons for WARNING that last as long as the server runs.
 *
 * @param lost why the catalogue can't be used
 * @param problems what was out of order at the start
 * @param unenforced limits that are configured, and that this machine can't keep
 */
export function standingWarnings(
  config: Config,
  lost: string | undefined,
  problems: readonly string[],
  unenforced: readonly Unenforced[],
): Warning[] {
  const warnings: Warning[] = []
  if (lost !== undefined) {
    warnings.push({
      code: 'CATALOGUE_LOST',
      message: `The catalogue can't be used: ${lost}`,
      hint: 'Nothing was removed, and running clones go on. Stop the server (Ctrl-C), then put its last copy (catalogue.db, with its -wal and -seal) in its place, or make a new one with "npm run rebuild", and start it again',
    })
  }
  if (!config.tls && !isLoopback(config.host)) {
    warnings.push({
      code: 'INSECURE_CONNECTION',
      message: 'The API listens beyond loopback without TLS, so the token goes over the network in clear',
      hint: 'Configure tls.certFile and tls.keyFile, or let host be 127.0.0.1 and put a TLS proxy before it',
    })
  }
  if (!cloneCertificate(config) && !isLoopback(config.clones.host)) {
    warnings.push({
      code: 'INSECURE_CONNECTION',
      message: 'Clones listen beyond loopback without TLS, so their data goes over the network in clear',
      hint: 'Configure clones.tls, or let clones.host be 127.0.0.1, or the address of a network that you trust as much as the host',
    })
  }
  for (const { message, hint } of unenforced) warnings.push({ code: 'LIMIT_NOT_ENFORCED', message, hint })
  for (const message of problems) {
    warnings.push({
      code: 'RECONCILE_FAILED',
      message,
      hint: "See the server's log; it is tried again at the next start",
    })
  }
  return warnings
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host)
}
