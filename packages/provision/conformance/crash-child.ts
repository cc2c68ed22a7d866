/** Makes and destroys volumes and snapshots in the pool of the configuration it's given, until it's killed. */
import { openStorage, type StorageConfig } from '../src/storage/open.ts'
import { SOURCE } from './crash.ts'

const config: StorageConfig = JSON.parse(process.argv[2] ?? '')
const { driver } = await openStorage(config)
process.stdout.write('ready\n')
for (let i = 0; ; i++) {
  const id = `${process.pid}-${i}`
  await Promise.all([driver.createVolume(`made-${id}`), driver.clone(SOURCE, `clone-${id}`)])
  await driver.snapshot(`clone-${id}`, 'again')
  if (i % 2 === 0) continue
  await driver.destroySnapshot({ volumeId: `clone-${id}`, snapshotId: 'again' })
  await Promise.all([driver.destroyVolume(`made-${id}`), driver.destroyVolume(`clone-${id}`)])
}
