import { statfs } from 'node:fs/promises'
import { z } from 'zod'
import type { SettingsView } from '../console/views.ts'
import type { KeyValue } from '../core/key-value.ts'
import type { LimitSchedule } from '../sync/limit-schedule.ts'

const KEY = 'settings'
const limit = z.number().nullable().default(null)
const hours = z.array(z.object({ fromMinute: z.number(), toMinute: z.number(), limit })).default([])
const schema = z.object({
  uploadLimit: limit,
  uploadHours: hours,
  downloadLimit: limit,
  downloadHours: hours,
  capacity: limit
})

/** What can be held to a limit. */
interface Limited {
  schedule: LimitSchedule
}

interface Limits {
  readonly upload: Limited
  readonly download: Limited
}

/** What the start says; null where it says nothing. */
export interface GivenSettings {
  readonly upload: LimitSchedule | null
  readonly download: LimitSchedule | null
  readonly capacity: number | null
}

/** The limits of a running instance. A change is durable, and holds from then on. */
export class InstanceSettings {
  readonly #state: KeyValue
  readonly #limits: Limits
  #now: SettingsView

  private constructor(state: KeyValue, limits: Limits, now: SettingsView) {
    this.#state = state
    this.#limits = limits
    this.#now = now
    this.#apply()
  }

  /** What was set before holds on, unless the start says something else. */
  static async open(state: KeyValue, limits: Limits, given: GivenSettings): Promise<InstanceSettings> {
    const stored = await state.get(KEY)
    const kept = schema.parse(stored === null ? {} : JSON.parse(Buffer.from(stored).toString('utf8')))
    const upload = given.upload ?? { limit: kept.uploadLimit, hours: kept.uploadHours }
    const download = given.download ?? { limit: kept.downloadLimit, hours: kept.downloadHours }
    const now = {
      uploadLimit: upload.limit,
      uploadHours: [...upload.hours],
      downloadLimit: download.limit,
      downloadHours: [...download.hours],
      capacity: given.capacity ?? kept.capacity
    }
    const settings = new InstanceSettings(state, limits, now)
    if (JSON.stringify(now) !== JSON.stringify(kept)) await settings.change(now)
    return settings
  }

  get view(): SettingsView {
    return this.#now
  }

  async change(change: Partial<SettingsView>): Promise<SettingsView> {
    const next = { ...this.#now, ...change }
    await this.#state.write({ put: [[KEY, Buffer.from(JSON.stringify(next))]] }, { durable: true })
    this.#now = next
    this.#apply()
    return next
  }

  /** What is lent, in bytes: what was said, or half of what the disk has free beside what is used already. */
  capacityBytes(disk: DiskSpace, usedBytes: number): number {
    return this.#now.capacity ?? Math.floor((disk.freeBytes + usedBytes) / 2)
  }

  #apply(): void {
    const { uploadLimit, uploadHours, downloadLimit, downloadHours } = this.#now
    this.#limits.upload.schedule = { limit: uploadLimit, hours: uploadHours }
    this.#limits.download.schedule = { limit: downloadLimit, hours: downloadHours }
  }
}

export interface DiskSpace {
  readonly totalBytes: number
  readonly freeBytes: number
}

export async function diskSpace(folder: string): Promise<DiskSpace> {
  const { blocks, bavail, bsize } = await statfs(folder)
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize }
}
