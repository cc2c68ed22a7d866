import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { Certificate, PostgresRuntime } from '@dblab/provision'
import { ConfigError } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import type { Logger } from '../log.ts'

/**
 * What clones take connections with: their own certificate, else the API's. That one is not lent where a clone's user may be a superuser,
 * who can read whatever Postgres can: the key of the API among it.
 */
export function cloneCertificate({ tls, clones, postgres }: Config): Certificate | undefined {
  if (clones.tls !== undefined) return clones.tls || undefined
  return postgres.allowSuperusers ? undefined : tls
}

/** What is wrong with it is said at the start, not at the first clone. @throws ConfigError */
export function checkCloneCertificate(config: Config): void {
  const certificate = cloneCertificate(config)
  if (certificate === undefined) return
  try {
    createSecureContext({ cert: readFileSync(certificate.certFile), key: readFileSync(certificate.keyFile) })
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const key = config.clones.tls ? 'clones.tls' : 'tls'
    throw new ConfigError(`${key}: the certificate can't be used for clones: ${error.message}`, { cause: error })
  }
}

/** Clones that have gone on without the server get the certificate that it was started with; where it lends none, the copies go. */
export async function renewCertificates(runtime: PostgresRuntime, config: Config, log: Logger): Promise<void> {
  const renewed = await runtime.renewCertificates(cloneCertificate(config))
  if (renewed > 0) log.info('clones that run have taken the renewed certificate', { clones: renewed })
}
