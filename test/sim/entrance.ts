import { codeOf, ERRORS, messageOf } from '../../src/core/errors.ts'
import type { WorkspaceId } from '../../src/core/ids.ts'
import { KeyedMutex } from '../../src/core/mutex.ts'
import type { Entrance, Served } from '../../src/daemon/entrance.ts'
import type { Admission } from '../../src/handover/resident.ts'
import type { Channel, Host } from '../../src/network/host.ts'
import type { FileSystem } from '../../src/worktree/file-system.ts'
import type { WorkspacePath } from '../../src/worktree/paths.ts'
import { type Answered, type Ask, decode, encode, type Passed, VALUES_PROTOCOL } from './exchange-values.ts'
import type { Life, Machine } from './machine.ts'
import { putFile, readFile } from './memory-app.ts'

export interface ValueEntranceDeps {
  readonly host: Host
  readonly files: FileSystem
  readonly machine: Machine
  readonly life: Life
  /** A change is about to be answered as saved. */
  readonly onSaved: (workspace: WorkspaceId, epoch: number) => void
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
    close: () => app.idle(),
    told: () => undefined,
    busy: () => []
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

interface Executed {
  readonly status: number
  readonly body: string
}

/** Writes beside and renames, as the files app does. */
class SmallApp {
  readonly #deps: ValueEntranceDeps
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #changing = new KeyedMutex<string>()

  constructor(deps: ValueEntranceDeps) {
    this.#deps = deps
  }

  async handle(admission: Admission, ask: Passed): Promise<Executed> {
    const work = this.#carryOut(admission, ask)
    const ended = work.catch(() => undefined).finally(() => this.#underWay.delete(ended))
    this.#underWay.add(ended)
    return await work
  }

  async idle(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  async #carryOut(
    { folder, staging, wrote }: Admission,
    { workspace, epoch, method, path, body }: Passed
  ): Promise<Executed> {
    const { machine, life, files } = this.#deps
    const at = `${folder}/${path}`
    await machine.busy(life, machine.chance.between(0.1, 4))
    if (method === 'GET') {
      const bytes = await readFile(files, at)
      return bytes === null ? { status: 404, body: '' } : { status: 200, body: bytes.toString() }
    }
    const isDone = await this.#changing.run(at, () => this.#change({ folder, staging, method, path, body }))
    if (!isDone) return { status: 404, body: '' }
    await machine.busy(life, machine.chance.between(0, 2))
    await wrote([path])
    this.#deps.onSaved(workspace, epoch)
    return { status: method === 'DELETE' ? 204 : 201, body: '' }
  }

  /** One at a time for each file, as an app sees to it that has to. False where there is nothing to remove. */
  async #change(what: { folder: string; staging: string } & Ask): Promise<boolean> {
    const { files, machine } = this.#deps
    const { method, path, body, folder } = what
    const place = { ...what, files, random: machine.chance }
    const before = method === 'PUT' ? null : await readFile(files, `${folder}/${path}`)
    if (method === 'DELETE') {
      if (before === null) return false
      await files.unlink(`${folder}/${path}`)
      return true
    }
    const text = method === 'POST' ? `${before ?? ''}${body}\n` : body
    await putFile(place, path as WorkspacePath, Buffer.from(text), Math.floor(machine.wallMs / 1000))
    return true
  }
}
