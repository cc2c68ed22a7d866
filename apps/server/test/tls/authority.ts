import { execFile } from 'node:child_process'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** A certification authority of one test, and a certificate for this machine that it has signed: real ones, by openssl. */
export class Authority {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
    this.caFile = join(directory, 'ca.crt')
    this.certFile = join(directory, 'server.crt')
    this.keyFile = join(directory, 'server.key')
  }

  async found(): Promise<void> {
    await this.#openssl(
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=an authority of the tests'],
      ...['-keyout', 'ca.key', '-out', 'ca.crt'],
    )
  }

  /** A new key and a new certificate in the same files; nobody but this account can read the key. */
  async issue(serial: number): Promise<void> {
    await this.#openssl(
      ...[
        'req',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-subj',
        '/CN=localhost',
        '-keyout',
        'server.key',
        '-out',
        'server.csr',
      ],
    )
    await chmod(this.keyFile, 0o600)
    await writeFile(join(this.#directory, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    await this.#openssl(
      ...['x509', '-req', '-in', 'server.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '2'],
      ...['-set_serial', String(serial), '-extfile', 'names', '-out', 'server.crt'],
    )
  }

  async #openssl(...args: string[]): Promise<void> {
    await execute('openssl', args, { cwd: this.#directory })
  }
}
