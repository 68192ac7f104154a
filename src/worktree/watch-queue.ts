import { type FSWatcher, watch } from 'node:fs'
import { systemCode } from './disk.ts'

/** Watches one file or folder: see `watch` of node:fs. Throws with the code of the system where it cannot. */
export type WatchPath = (path: string, onEvent: (type: string, name: Buffer | null) => void) => FSWatcher

export const watchPath: WatchPath = (path, onEvent) =>
  watch(path, { encoding: 'buffer', persistent: false }, (type, name) => onEvent(type, name))

/** What a person can do about a folder that cannot be watched; undefined where nothing is known to help. */
export function watchAdvice(error: unknown): string | undefined {
  switch (systemCode(error)) {
    case 'ENOSPC':
      return 'allow more watches: sysctl fs.inotify.max_user_watches'
    case 'EMFILE':
      return 'allow more watchers and open files: sysctl fs.inotify.max_user_instances, ulimit -n'
    case 'ENFILE':
      return 'allow more open files on this machine: sysctl fs.file-max'
    default:
      return undefined
  }
}

/** Those who must hear that the kernel dropped events: all watches of the process share one queue. */
export interface QueueUser {
  eventsLost(reason: string): void
}

/** Why events were lost, and what helps where it happens often. */
export const TOO_MANY = 'too many changes at once (sysctl fs.inotify.max_queued_events)'

const users = new Set<QueueUser>()
let burst = 0

/** Tells the user of lost events until the returned function is called. */
export function joinQueue(user: QueueUser): () => void {
  users.add(user)
  return () => {
    users.delete(user)
  }
}

/**
 * Counts an event. The queue is emptied in one turn of the event loop: one that had overflowed brings as many events in
 * one turn as it holds, which is when all users are told. Half as many are enough, since some are never handed on.
 */
export function countEvent(queueLength: number): void {
  if (burst === 0) {
    setImmediate(() => {
      burst = 0
    })
  }
  burst++
  if (burst === Math.floor(queueLength / 2)) for (const user of users) user.eventsLost(TOO_MANY)
}
