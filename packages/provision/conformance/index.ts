export { type ForeignSource, type ForeignThing, type StorageHarness, storageConformance } from './storage.ts'
