import { randomBytes, randomInt } from 'node:crypto'
import { findAccount } from '@dblab/provision'
import { command, hasProgram, isRoot } from '@dblab/provision/testbed'

/** Empty, or why there can be no such network here: for a test's title. */
export const lackingNetworks =
  isRoot && ['ip', 'tc', 'setpriv'].every(hasProgram) ? '' : ' (skipped: needs root, ip, tc and setpriv)'

/** A network of its own, behind a link that a test can make slow, or cut: neither end hears of the other then. Root only. */
export class FarNetwork implements AsyncDisposable {
  /** The address of whoever listens there. */
  readonly host: string
  /** What a program is started through to be there, as the account that runs Postgres. */
  readonly through: string[]
  readonly #name: string

  private constructor(name: string, host: string, { uid, gid }: { uid: number; gid: number }) {
    this.#name = name
    this.host = host
    const as = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--']
    this.through = ['ip', 'netns', 'exec', name, ...as]
  }

  static async make(): Promise<FarNetwork> {
    const name = `dblab-${randomBytes(4).toString('hex')}`
    // RFC 2544 keeps 198.18.0.0/15 for tests of networks.
    const net = `198.18.${randomInt(256)}.${4 * randomInt(64)}`.split('.')
    const address = (last: number) => [...net.slice(0, 3), Number(net[3]) + last].join('.')
    const network = new FarNetwork(name, address(2), await findAccount())
    const [here, there] = network.#ends
    await command('ip', 'netns', 'add', name)
    await command('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', name)
    await command('ip', 'address', 'add', `${address(1)}/30`, 'dev', here)
    await command('ip', 'link', 'set', 'dev', here, 'up')
    await command('ip', '-n', name, 'address', 'add', `${address(2)}/30`, 'dev', there)
    for (const device of ['lo', there]) await command('ip', '-n', name, 'link', 'set', 'dev', device, 'up')
    return network
  }

  /** The names of a device have 15 characters at most. */
  get #ends(): [here: string, there: string] {
    const id = this.#name.slice(-8)
    return [`lab${id}`, `src${id}`]
  }

  /** What comes from there comes no faster: as `tc` says it, such as `8mbit`. */
  async slow(rate: string): Promise<void> {
    await this.#there(
      'tc',
      'qdisc',
      'add',
      'dev',
      this.#ends[1],
      ...`root tbf rate ${rate} burst 32kb latency 400ms`.split(' '),
    )
  }

  async unslow(): Promise<void> {
    await this.#there('tc', 'qdisc', 'del', 'dev', this.#ends[1], 'root')
  }

  async cut(): Promise<void> {
    await command('ip', '-n', this.#name, 'link', 'set', 'dev', this.#ends[1], 'down')
  }

  async mend(): Promise<void> {
    await command('ip', '-n', this.#name, 'link', 'set', 'dev', this.#ends[1], 'up')
  }

  async #there(...argv: string[]): Promise<void> {
    await command('ip', 'netns', 'exec', this.#name, ...argv)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The ends of the link go with it, once nothing runs in it any more.
    await command('ip', 'link', 'del', this.#ends[0])
    await command('ip', 'netns', 'del', this.#name)
  }
}
