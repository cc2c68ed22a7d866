import { join } from 'node:path'
import { ProvisionError } from '../../errors.ts'
import { primaryConninfo } from '../primary.ts'
import type { InstanceSpec } from '../runtime.ts'

/** Where the files of an instance are, for its command line. */
export interface ServerFiles {
  hba: string
  ident: string
  /** Given when the data directory has no postgresql.conf of its own, as with Debian's clusters. */
  config: string | undefined
  socketDir: string
  passfile: string
}

/** Settings that the runtime decides: its own view of the server, and its safety, hang on them. */
const OWN_SETTINGS = new Set([
  'allow_alter_system',
  'archive_command',
  'archive_library',
  'archive_mode',
  'bonjour',
  'config_file',
  'data_directory',
  'data_sync_retry',
  'event_source',
  'external_pid_file',
  'hba_file',
  'ident_file',
  'lc_messages',
  'listen_addresses',
  'log_destination',
  'log_line_prefix',
  'logging_collector',
  'port',
  'primary_conninfo',
  'restart_after_crash',
  'ssl',
  'ssl_ca_file',
  'ssl_cert_file',
  'ssl_crl_dir',
  'ssl_crl_file',
  'ssl_key_file',
  'ssl_passphrase_command',
  'unix_socket_directories',
  'unix_socket_group',
  'unix_socket_permissions',
])

/**
 * The arguments that `postgres` is started with. What is on the command line wins over postgresql.conf, postgresql.auto.conf and
 * ALTER SYSTEM (PostgreSQL manual, "Setting Parameters"); of one name given twice, the last wins.
 *
 * @throws ProvisionError INVALID for a setting that the runtime decides, or that could be taken for something else
 */
export function serverArguments(spec: InstanceSpec, files: ServerFiles): string[] {
  checkSettings(spec.settings)
  if (/\0/.test(spec.host)) throw new ProvisionError('INVALID', 'the address to listen on has a zero byte')
  const own: Record<string, string> = {
    data_directory: spec.dataDir,
    hba_file: files.hba,
    ident_file: files.ident,
    ...(files.config !== undefined && { config_file: files.config }),
    // Debian's clusters name one place for it, where a copy would overwrite its source's.
    external_pid_file: join(files.socketDir, 'postmaster.pid'),
    listen_addresses: spec.host,
    port: String(spec.port),
    unix_socket_directories: socketDirectories(files.socketDir),
    unix_socket_permissions: '0700',
    unix_socket_group: '',
    bonjour: 'off',
    // A copy must never write into the archive of what it was copied from.
    archive_mode: 'off',
    // Its words are read to tell one failure from another.
    lc_messages: 'C',
    log_destination: 'stderr',
    // The default. A name in it, as in Debian's, would be a stranger's to choose, line breaks and all.
    log_line_prefix: '%m [%p] ',
    logging_collector: 'off',
    // Whoever looks after the instance starts it again, and can say why. By itself, it says nothing; and a server of PostgreSQL 18 whose
    // own recovery finds the disk full is left without the process that recovers, refuses logins and never ends.
    restart_after_crash: 'off',
    ...(spec.primary && { primary_conninfo: primaryConninfo(spec.primary, files.passfile) }),
    ssl: spec.tls === undefined ? 'off' : 'on',
    ...(spec.tls && {
      ssl_cert_file: spec.tls.certFile,
      ssl_key_file: spec.tls.keyFile,
      // Files of the machine that the data comes from, without which the server would not start.
      ...{ ssl_ca_file: '', ssl_crl_file: '', ssl_crl_dir: '', ssl_passphrase_command: '' },
    }),
  }
  const args = ['-D', spec.dataDir]
  for (const [name, value] of [...Object.entries(spec.settings), ...Object.entries(own)])
    args.push('-c', `${name}=${value}`)
  return args
}

/**
 * Refuses settings that are not the lab's users' to choose, or that could be taken for something else.
 *
 * @throws ProvisionError INVALID
 */
export function checkSettings(settings: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(settings)) {
    if (!/^[a-z_][a-z0-9_.]*$/.test(name))
      throw new ProvisionError('INVALID', 'this is not the name of a Postgres setting')
    if (OWN_SETTINGS.has(name)) {
      throw new ProvisionError('INVALID', `the setting ${name} is the lab's own`, { hint: `Leave ${name} out.` })
    }
    if (value.includes('\0')) throw new ProvisionError('INVALID', `the value of the setting ${name} has a zero byte`)
  }
}

/** A list of names: one with a comma or a blank in it must be quoted. */
function socketDirectories(directory: string): string {
  return `"${directory.replaceAll('"', '""')}"`
}
