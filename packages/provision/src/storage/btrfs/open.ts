import { nearestExisting } from '../access.ts'
import type { StorageConfig, StoragePool } from '../config.ts'
import { DirectoryDriver, openDirectory } from '../directory.ts'
import { reporting } from '../report.ts'
import { btrfsTrees, isBtrfs } from './btrfs.ts'
import { explainBtrfs } from './errors.ts'
import { EmbeddedPool } from './image.ts'

/**
 * The directory itself where it lies on btrfs; else the embedded pool, where one is configured. One that has been made is used in any
 * case: that is where the data is.
 */
export async function openBtrfs(config: StorageConfig): Promise<StoragePool> {
  const { image, root } = config
  if (!image) return openDirectory(config, btrfsTrees(undefined, config.quotas))
  const pool = new EmbeddedPool(image.path, root)
  const embedded = await reporting(
    `looking for the pool in ${image.path}`,
    async () => (await pool.exists()) || !(await isBtrfs(await nearestExisting(root))),
  )
  return embedded
    ? openEmbedded(config, pool, image.sizeBytes)
    : openDirectory(config, btrfsTrees(undefined, config.quotas))
}

async function openEmbedded(config: StorageConfig, image: EmbeddedPool, sizeBytes: number): Promise<StoragePool> {
  const attempt = <T>(doing: string, work: () => Promise<T>) => reporting(doing, work, explainBtrfs)
  const driver = new DirectoryDriver(config, btrfsTrees(image.path, config.quotas))
  await image.check()
  await attempt(`opening the pool in ${image.path}`, () => image.attach(sizeBytes))
  await driver.check()
  await driver.open()
  return {
    driver,
    embedded: true,
    detach: () => attempt(`detaching the pool in ${image.path}`, () => image.detach()),
    remove: async () => {
      await driver.removeLayout()
      await attempt(`removing the pool in ${image.path}`, () => image.destroy())
    },
  }
}
