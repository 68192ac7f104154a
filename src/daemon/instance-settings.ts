import { statfs } from 'node:fs/promises'
import { z } from 'zod'
import type { SettingsView } from '../console/views.ts'
import type { KeyValue } from '../core/key-value.ts'
import type { RateLimit } from '../sync/rate-limit.ts'

const KEY = 'settings'
const schema = z.object({
  uploadLimit: z.number().nullable(),
  downloadLimit: z.number().nullable(),
  capacity: z.number().nullable()
})

/** The limits of a running instance. A change is durable, and holds from then on. */
export class InstanceSettings {
  readonly #state: KeyValue
  readonly #upload: RateLimit
  readonly #download: RateLimit
  #now: SettingsView

  private constructor(state: KeyValue, limits: { upload: RateLimit; download: RateLimit }, now: SettingsView) {
    this.#state = state
    this.#upload = limits.upload
    this.#download = limits.download
    this.#now = now
    this.#apply()
  }

  /** What was set before holds on, unless the start says something else. */
  static async open(
    state: KeyValue,
    limits: { upload: RateLimit; download: RateLimit },
    given: SettingsView
  ): Promise<InstanceSettings> {
    const stored = await state.get(KEY)
    const kept = stored === null ? null : schema.parse(JSON.parse(Buffer.from(stored).toString('utf8')))
    return new InstanceSettings(state, limits, {
      uploadLimit: given.uploadLimit ?? kept?.uploadLimit ?? null,
      downloadLimit: given.downloadLimit ?? kept?.downloadLimit ?? null,
      capacity: given.capacity ?? kept?.capacity ?? null
    })
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
    this.#upload.bytesPerSecond = this.#now.uploadLimit
    this.#download.bytesPerSecond = this.#now.downloadLimit
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
