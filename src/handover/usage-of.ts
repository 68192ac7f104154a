import type { HomeSync } from '../sync/home.ts'
import type { Usage } from '../wire/control.ts'
import type { ResidentRecord } from './resident-record.ts'

/**
 * What a workspace takes. A home that does not serve yet, or not any more, has not looked at its files: nothing proves
 * that all is synced since.
 */
export function usageOf(sync: HomeSync | null, record: ResidentRecord, idleMs: number): Omit<Usage, 'workspace'> {
  const head = sync?.tip ?? record.head
  const unprovenMs = record.role === 'home' ? Math.max(0, Math.round(idleMs)) : 0
  const unsynced = sync?.unsynced() ?? { bytes: 0, ageMs: unprovenMs }
  return {
    usedBytes: head?.value.bytes ?? 0,
    files: head?.value.files ?? 0,
    unsyncedBytes: unsynced.bytes,
    unsyncedAgeMs: unsynced.ageMs
  }
}
