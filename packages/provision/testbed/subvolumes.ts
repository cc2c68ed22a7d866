export { openSubvolumeCalls } from '../src/storage/btrfs/subvolume-calls.ts'
