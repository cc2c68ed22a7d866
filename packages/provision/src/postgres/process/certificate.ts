import { readFile } from 'node:fs/promises'
import { isSystemError, ProvisionError } from '../../errors.ts'
import type { Account, Certificate } from '../runtime.ts'
import { isRunning, type ProcessIdentity, type ProcessTable, signalProcess } from './processes.ts'
import type { InstanceDirectory } from './record.ts'

/** What the files hold, PEM. */
export interface CertificateText {
  cert: string
  key: string
}

/**
 * Read by this process: the account of the servers need not reach the files where they are, and often may not.
 * @throws ProvisionError INVALID
 */
export async function readCertificate({ certFile, keyFile }: Certificate): Promise<CertificateText> {
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
    return { cert, key }
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'EISDIR')) throw error
    throw new ProvisionError('INVALID', `the certificate of the clones can't be read: ${error.message}`, {
      cause: error,
      hint: 'Check the paths of certFile and keyFile, and that the account of the lab may read them.',
    })
  }
}

/** Copies it to where the server of that instance reads it; without one, takes away what an earlier start has copied. */
export function placeCertificate(
  directory: InstanceDirectory,
  text: CertificateText | undefined,
  account: Account,
): void {
  if (text === undefined) {
    directory.removeCertificate()
    return
  }
  directory.writeForServer('server.key', text.key, account)
  directory.writeForServer('server.crt', text.cert, account)
}

/** Puts it in the place of another one that the running server has, and lets it read that. False where there is nothing to do. */
export async function renewCertificate(
  table: ProcessTable,
  server: ProcessIdentity,
  directory: InstanceDirectory,
  text: CertificateText,
  account: Account,
): Promise<boolean> {
  if (!(await isOutdated(directory, text)) || !(await isRunning(table, server))) return false
  placeCertificate(directory, text, account)
  return signalProcess(table, server, 'SIGHUP')
}

/** True when the instance has a certificate, and it is not this one. */
async function isOutdated(directory: InstanceDirectory, text: CertificateText): Promise<boolean> {
  try {
    const [cert, key] = await Promise.all([
      readFile(directory.file('server.crt'), 'utf8'),
      readFile(directory.file('server.key'), 'utf8'),
    ])
    return cert !== text.cert || key !== text.key
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return false
    throw error
  }
}
