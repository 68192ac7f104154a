import type { Bug } from './bug.ts'

/** Mistakes of the main repository, and of those who bring it blocks or fetch them. */
export const REPOSITORY_BUGS: readonly Bug[] = [
  {
    name: 'a receipt is signed before what it says is durable',
    edits: [
      {
        file: 'store/main-repository.ts',
        find: '      if (location !== undefined) onWritten({ ...location, again: known !== null })\n    })\n    await shelf.settle()\n',
        put: '      if (location !== undefined) onWritten({ ...location, again: known !== null })\n    })\n    void shelf.settle().catch(() => undefined)\n'
      }
    ],
    caughtBy: 'disks/52'
  },
  {
    name: 'packs are not synced',
    edits: [
      {
        file: 'store/packs.ts',
        find: '      await this.#disk.sync(packPath(end.pack))\n',
        put: '      await this.#disk.size(packPath(end.pack))\n'
      }
    ],
    caughtBy: 'disks/6'
  },
  {
    name: 'the folder of the packs is not synced',
    edits: [{ file: 'store/packs.ts', find: '    await this.#disk.syncFolder(PACKS_FOLDER)\n', put: '' }],
    caughtBy: 'disks/6'
  },
  {
    name: 'an epoch only in memory',
    edits: [
      {
        file: 'store/control-store.ts',
        find: '[COUNTER, numberBytes(revision)]], remove: removes }, { durable: true })',
        put: '[COUNTER, numberBytes(revision)]], remove: removes }, { durable: false })'
      }
    ],
    caughtBy: 'handover/2'
  },
  {
    name: 'a stale epoch is accepted',
    edits: [
      {
        file: 'content/heads.ts',
        find: '  if (epoch < current) return refuse(',
        put: '  if (epoch < 0) return refuse('
      },
      {
        file: 'content/heads.ts',
        find: '  if (epoch <= ownership.sealedEpoch) return',
        put: '  if (epoch < 0) return'
      },
      { file: 'content/heads.ts', find: '  if (signer !== ownership.home) {', put: '  if (epoch < 0) {' },
      {
        file: 'store/main-repository.ts',
        find: '  if (value.epoch > state.sealedEpoch) return\n',
        put: '  if (value.epoch > 0 * state.sealedEpoch) return\n'
      },
      {
        file: 'store/ledger.ts',
        find: '    head.epoch >= (tip?.epoch ?? 1) &&\n    head.epoch > sealedEpoch\n',
        put: '    sealedEpoch >= 0\n'
      }
    ],
    caughtBy: 'rogue/6'
  },
  {
    name: 'blocks are not hashed when they come',
    edits: [{ file: 'store/shelf.ts', find: '  verifyBlock(block)\n  return block\n', put: '  return block\n' }],
    caughtBy: 'rogue/124'
  },
  {
    name: 'blocks are not hashed when they are read',
    edits: [
      {
        file: 'store/shelf.ts',
        find: 'if (bytes !== null && matches({ cid, bytes })) return bytes',
        put: 'if (bytes !== null) return bytes'
      }
    ],
    caughtBy: 'rot/6'
  },
  {
    name: 'what is damaged is not fetched again',
    edits: [
      {
        file: 'daemon/housekeeping.ts',
        find: '      const done = await repair(signal)\n',
        put: '      const done = { repaired: 0, left: [], signal }\n'
      }
    ],
    caughtBy: 'rot/10'
  },
  {
    name: 'a receipt is not bound to its recipient',
    edits: [
      {
        file: 'sync/repository-service.ts',
        find: "    if (recipient !== peer || role !== 'instance')\n",
        put: "    if (recipient === undefined || role !== 'instance')\n"
      }
    ],
    caughtBy: 'rogue/20'
  },
  {
    name: 'a receipt for a head that nobody has counts',
    edits: [
      {
        file: 'sync/repository-service.ts',
        find: '    if (head === null || head.value.workspace !== workspace || head.value.sequence !== receipt.value.sequence) {\n',
        put: '    if (workspace === undefined) {\n'
      }
    ],
    caughtBy: 'rogue/5'
  }
]
