import { type Block, hashedBlock, RAW_CODEC } from '../core/blocks.ts'
import { aborted } from '../core/clock.ts'
import type { LookFiles } from './file-system.ts'
import { beginSync, HASH_BYTES, listSync, readSyncFrom, type Slab } from './look-sync.ts'
import { nodeLookFiles } from './node-file-system.ts'
import type { FileReader, ReaderOptions } from './reader.ts'

/** Works on the caller's thread: for what is little, for simulations, and for tests that say when a file changes. */
export function inlineReader(files: LookFiles = nodeLookFiles): FileReader {
  return {
    async begin({ folder, stamp, paths }, { signal }) {
      checkGoingOn(signal)
      return beginSync(files, folder, stamp, paths)
    },
    async list(folder, { signal }) {
      checkGoingOn(signal)
      return listSync(files, folder)
    },
    async read(request, take, { signal }) {
      const reading = readSyncFrom(files, request, (bytes) => Buffer.allocUnsafeSlow(bytes))
      try {
        for (;;) {
          checkGoingOn(signal)
          const next = reading.next()
          if (next.done === true) return next.value
          await take(leavesOf(next.value))
        }
      } finally {
        reading.return(null)
      }
    },
    close: async () => undefined
  }
}

function checkGoingOn(signal: ReaderOptions['signal']): void {
  if (signal?.aborted) throw aborted(signal)
}

/** The leaves of a slab: views of its bytes. */
export function leavesOf({ bytes, lengths, hashes }: Slab): Block[] {
  let at = 0
  return lengths.map((length, index) => {
    const leaf = bytes.subarray(at, at + length)
    at += length
    return hashedBlock(RAW_CODEC, hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES), leaf)
  })
}
