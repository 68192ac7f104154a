import { codeOf, ERRORS, messageOf } from '../../src/core/errors.ts'
import type { Entrance, Served } from '../../src/daemon/entrance.ts'
import type { Admission } from '../../src/handover/resident.ts'
import type { Channel, Host } from '../../src/network/host.ts'
import { isGone as isMissing } from '../../src/worktree/disk.ts'
import type { FileSystem } from '../../src/worktree/file-system.ts'
import { type Answered, decode, encode, type Passed, VALUES_PROTOCOL } from './exchange-values.ts'
import type { Life, Machine } from './machine.ts'

export interface ValueEntranceDeps {
  readonly host: Host
  readonly files: FileSystem
  readonly machine: Machine
  readonly life: Life
}

/** The ingress of an instance with a small files app behind it, for requests as values. */
export async function valueEntrance(deps: ValueEntranceDeps, served: Served): Promise<Entrance> {
  const open = new Set<Channel>()
  let isStopped = false
  const app = new SmallApp(deps)
  await deps.host.handle(VALUES_PROTOCOL, async (channel) => {
    if (isStopped) return
    open.add(channel)
    try {
      const frame = await channel.receive()
      if (frame !== null) await channel.send(encode(await answer(app, served, decode<Passed>(frame))))
    } finally {
      open.delete(channel)
    }
  })
  return {
    async stop() {
      isStopped = true
      for (const channel of open) channel.abort(new Error('stopping'))
    },
    close: () => app.idle()
  }
}

async function answer(app: SmallApp, served: Served, ask: Passed): Promise<Answered> {
  try {
    const admission = served.enter(ask.workspace, ask.epoch)
    try {
      return { ...(await app.handle(admission, ask)), moved: false }
    } finally {
      admission.leave()
    }
  } catch (error) {
    const code = codeOf(error)
    return { status: ERRORS[code].http, body: `${code}: ${messageOf(error)}`, moved: code === 'NOT_HOME' }
  }
}

/** Writes beside and renames, as the files app does. */
class SmallApp {
  readonly #deps: ValueEntranceDeps
  readonly #underWay = new Set<Promise<unknown>>()
  #staged = 0

  constructor(deps: ValueEntranceDeps) {
    this.#deps = deps
  }

  async handle(admission: Admission, ask: Passed): Promise<{ status: number; body: string }> {
    const work = this.#carryOut(admission, ask)
    const ended = work.catch(() => undefined).finally(() => this.#underWay.delete(ended))
    this.#underWay.add(ended)
    return await work
  }

  async idle(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  async #carryOut({ folder, staging, wrote }: Admission, { method, path, body }: Passed) {
    const { machine, life, files } = this.#deps
    const at = `${folder}/${path}`
    await machine.busy(life, machine.chance.between(0.1, 4))
    if (method === 'GET') {
      const text = await this.#read(at)
      return text === null ? { status: 404, body: '' } : { status: 200, body: text }
    }
    if (method === 'DELETE') {
      try {
        await files.unlink(at)
      } catch (error) {
        if (!isMissing(error)) throw error
        return { status: 404, body: '' }
      }
    } else {
      const text = method === 'POST' ? `${(await this.#read(at)) ?? ''}${body}\n` : body
      await this.#write(staging, at, text)
    }
    await machine.busy(life, machine.chance.between(0, 2))
    await wrote([path])
    return { status: method === 'DELETE' ? 204 : 201, body: '' }
  }

  async #read(path: string): Promise<string | null> {
    try {
      await using file = await this.#deps.files.open(path, 'read')
      const bytes = Buffer.alloc(Number((await file.stat()).size))
      const length = await file.read(bytes, 0)
      return bytes.subarray(0, length).toString()
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  }

  async #write(staging: string, path: string, text: string): Promise<void> {
    const { files, machine, life } = this.#deps
    const beside = `${staging}/${++this.#staged}`
    const bytes = Buffer.from(text)
    await using file = await files.open(beside, 'create')
    for (let at = 0; at < bytes.length; ) at += await file.write(bytes.subarray(at), at)
    await machine.busy(life, machine.chance.between(0, 2))
    await files.rename(beside, path)
  }
}
