import { realpath } from 'node:fs/promises'
import { nodeFileSystem, nodeLookFiles } from '../../../src/worktree/node-file-system.ts'
import { MemoryFileSystem } from '../../sim/memory-files.ts'
import { MemoryVolume } from '../../sim/memory-volume.ts'
import { describeFileSystem } from './file-system-suite.ts'
import { temporaryFolder } from './support.ts'

describeFileSystem("the machine's", async () => ({
  files: nodeFileSystem,
  look: nodeLookFiles,
  base: await realpath(await temporaryFolder())
}))

describeFileSystem('in memory', async () => {
  const files = new MemoryFileSystem(new MemoryVolume({ nowNs: () => 1_700_000_000_000_000_000n }))
  await files.makeFolder('/base', 0o700)
  return { files, look: files.look(), base: '/base' }
})
