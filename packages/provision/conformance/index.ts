export { type ForeignThing, type StorageHarness, storageConformance } from './storage.ts'
