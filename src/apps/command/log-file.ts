import { open, rename, stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { Mutex } from '../../core/mutex.ts'

/** At this size a log becomes `….1`, in the place of the one before, and is begun anew. */
const LOG_BYTES_MAX = 1024 * 1024
const LINE_CHARACTERS_MAX = 200

/** What an app says, kept up to twice 1 MiB. What says more than the disk takes waits. */
export class LogFile {
  readonly #path: string
  readonly #writing = new Mutex()
  #end = ''

  constructor(path: string) {
    this.#path = path
  }

  /** The last line that is not empty; '' where nothing was said. */
  get lastLine(): string {
    return this.#end.trimEnd().split('\n').at(-1)?.trim().slice(0, LINE_CHARACTERS_MAX) ?? ''
  }

  /** Until the stream ends. Never rejects: what cannot be kept is dropped. */
  async follow(stream: Readable): Promise<void> {
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) await this.append(chunk)
    } catch {
      stream.destroy()
    }
  }

  /** @throws what the disk says */
  append(chunk: Buffer): Promise<void> {
    this.#end = (this.#end + chunk.toString('utf8')).slice(-2 * LINE_CHARACTERS_MAX)
    return this.#writing.run(async () => {
      await using file = await open(this.#path, 'a', 0o600)
      if ((await file.stat()).size + chunk.length > LOG_BYTES_MAX) return this.#beginAnew(chunk)
      await file.appendFile(chunk)
    })
  }

  async #beginAnew(chunk: Buffer): Promise<void> {
    if ((await stat(this.#path)).size > 0) await rename(this.#path, `${this.#path}.1`)
    await using file = await open(this.#path, 'a', 0o600)
    await file.appendFile(chunk)
  }
}
