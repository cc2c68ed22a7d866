import { passwordFile } from '../primary.ts'
import type { Account, InstanceSpec } from '../runtime.ts'
import { hbaRules, identMap } from './access-rules.ts'
import { serverArguments } from './arguments.ts'
import { placeCertificate, readCertificate } from './certificate.ts'
import { assertDataDir, hasConfigFile } from './data-directory.ts'
import type { InstanceDirectory } from './record.ts'
import { makeSocketDir } from './socket-directory.ts'

export interface PreparedFor {
  /** Of the cluster. */
  major: number
  socketDir: string
  account: Account
  /** Who may come over the socket. */
  labUser: string
}

export interface Preparation {
  /** Of the server. */
  args: string[]
  /** Puts into place all that the server reads, and the record of it. */
  place: () => Promise<void>
}

/**
 * Works out what a server is started with. Changes nothing: a spec that can't work is refused here.
 *
 * @throws ProvisionError for settings, users, a certificate or a data directory that can't be
 */
export async function prepareStart(
  directory: InstanceDirectory,
  spec: InstanceSpec,
  { major, socketDir, account, labUser }: PreparedFor,
): Promise<Preparation> {
  const { id, dataDir, port } = spec
  const config = (await hasConfigFile(dataDir)) ? undefined : directory.file('postgresql.conf')
  const [hbaFile, identFile] = [directory.file('hba.conf'), directory.file('ident.conf')]
  const files = { hba: hbaFile, ident: identFile, config, socketDir, passfile: directory.file('passfile') }
  const own = { certFile: directory.file('server.crt'), keyFile: directory.file('server.key') }
  const args = serverArguments({ ...spec, tls: spec.tls && own }, files)
  const certificate = spec.tls && (await readCertificate(spec.tls))
  const { usersRole, superuser, closed } = spec
  const access = { major, tls: spec.tls !== undefined, usersRole, superuser, closed }
  const hba = hbaRules(spec.users, access)
  const ident = identMap(labUser, access)
  const password = spec.primary && passwordFile(spec.primary.password)
  await assertDataDir(dataDir, account)
  return {
    args,
    place: async () => {
      directory.make(account)
      directory.writeForServer('hba.conf', hba, account)
      directory.writeForServer('ident.conf', ident, account)
      if (config !== undefined) directory.writeForServer('postgresql.conf', '', account)
      placeCertificate(directory, certificate, account)
      if (password !== undefined) directory.writeForServer('passfile', password, account)
      await makeSocketDir(socketDir, account)
      directory.writeRecord({ version: 1, id, dataDir, port, socketDir })
    },
  }
}
