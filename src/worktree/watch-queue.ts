/** Those who must hear that the kernel dropped events: all watches of the process share one queue. */
export interface QueueUser {
  eventsLost(reason: string): void
}

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
  if (burst === Math.floor(queueLength / 2)) for (const user of users) user.eventsLost('too many changes at once')
}
