import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Scratch } from '../scratch.ts'
import { freePort, output, pause, peakResidentBytes, startServer } from '../system.ts'

const FOLDER = 'bench'
const READY_MS = 60_000
const SYNC_MS = 600_000
const LOOK_EVERY_MS = 20
/** Without it, a second process watches over the first, and outlives a benchmark that is killed. */
const ONE_PROCESS = { STMONITORED: 'yes', STNOUPGRADE: '1' }

export interface SyncthingRun {
  readonly ms: number
  /** What it counts itself, both ways. */
  readonly wireBytes: number
}

interface Side {
  readonly name: 'a' | 'b'
  readonly home: string
  readonly files: string
  readonly device: string
  readonly listen: number
  readonly api: number
}

interface FolderStatus {
  readonly state: string
  readonly globalBytes: number
  readonly globalFiles: number
  readonly needTotalItems: number
  readonly errors: number
}

interface Connections {
  readonly total: { readonly inBytesTotal: number; readonly outBytesTotal: number }
  readonly connections: Readonly<Record<string, { readonly connected: boolean }>>
}

const KEY = 'bench'

async function ask<T>(side: Side, path: string, method: 'GET' | 'POST' = 'GET'): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${side.api}/rest/${path}`, {
    method,
    headers: { 'X-API-Key': KEY },
    signal: AbortSignal.timeout(SYNC_MS)
  })
  const body = await response.text()
  if (!response.ok) throw new Error(`Syncthing answers ${response.status}: ${body.slice(0, 200)}`)
  return (body === '' ? null : JSON.parse(body)) as T
}

const status = (side: Side): Promise<FolderStatus> => ask<FolderStatus>(side, `db/status?folder=${FOLDER}`)

async function until(ms: number, what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + ms
  while (!(await isTrue())) {
    if (performance.now() > end) throw new Error(`Syncthing: ${what} took too long`)
    await pause(LOOK_EVERY_MS)
  }
}

/** Two Syncthing daemons over TLS on loopback that know only each other, and look at their folders only when told. */
export class SyncthingPair {
  /** Where files go that are to be sent. */
  readonly files: string
  readonly #from: Side
  readonly #to: Side
  readonly #pids: readonly number[]

  private constructor(from: Side, to: Side, pids: readonly number[]) {
    this.files = from.files
    this.#from = from
    this.#to = to
    this.#pids = pids
  }

  static async start(scratch: Scratch, program: string): Promise<SyncthingPair> {
    const from = await newSide(scratch, program, 'a')
    const to = await newSide(scratch, program, 'b')
    const pids: number[] = []
    for (const [own, other] of [
      [from, to],
      [to, from]
    ] as const) {
      await writeFile(join(own.home, 'config.xml'), configOf(own, other))
      const args = ['serve', '--no-browser', `--home=${own.home}`]
      pids.push((await startServer(scratch, program, args, own.api, ONE_PROCESS)).pid)
    }
    await until(READY_MS, 'the start', async () => {
      const { connections } = await ask<Connections>(from, 'system/connections')
      const states = await Promise.all([status(from), status(to)])
      return connections[to.device]?.connected === true && states.every(({ state }) => state === 'idle')
    })
    return new SyncthingPair(from, to, pids)
  }

  /** Copies files into the folder that is sent, as they are to be found by the next `sync`. Not part of its time. */
  async give(from: string, name: string): Promise<void> {
    const arriving = join(this.#from.home, 'arriving')
    await rm(arriving, { recursive: true, force: true })
    await output('cp', ['-r', '--preserve=timestamps', from, arriving])
    await output('sync', ['--file-system', arriving])
    await rename(arriving, join(this.files, name))
  }

  /** Looks at all files, and waits until the other side has all of them, fsynced. */
  async sync(): Promise<SyncthingRun> {
    const before = await this.#wireBytes()
    const began = performance.now()
    await ask(this.#from, `db/scan?folder=${FOLDER}`, 'POST')
    const wanted = await status(this.#from)
    await until(SYNC_MS, 'a transfer', async () => {
      const { state, needTotalItems, globalBytes, globalFiles, errors } = await status(this.#to)
      if (errors > 0) throw new Error(`Syncthing: ${errors} files could not be taken`)
      const knowsAll = globalBytes === wanted.globalBytes && globalFiles === wanted.globalFiles
      return knowsAll && needTotalItems === 0 && state === 'idle'
    })
    const ms = performance.now() - began
    return { ms, wireBytes: (await this.#wireBytes()) - before }
  }

  async peakBytes(): Promise<number> {
    return Math.max(...(await Promise.all(this.#pids.map(peakResidentBytes))))
  }

  async #wireBytes(): Promise<number> {
    const { total } = await ask<Connections>(this.#from, 'system/connections')
    return total.inBytesTotal + total.outBytesTotal
  }
}

async function newSide(scratch: Scratch, program: string, name: Side['name']): Promise<Side> {
  const folder = join(scratch.folder, 'syncthing', name)
  const [home, files] = [join(folder, 'home'), join(folder, 'files')]
  await mkdir(home, { recursive: true })
  // The mark without which it takes a folder for lost.
  await mkdir(join(files, '.stfolder'), { recursive: true })
  await output(program, ['generate', `--home=${home}`, '--no-default-folder'], ONE_PROCESS)
  const device = (await output(program, ['serve', `--home=${home}`, '--device-id'], ONE_PROCESS)).trim()
  return { name, home, files, device, listen: await freePort(), api: await freePort() }
}

const deviceOf = ({ name, device, listen }: Side): string =>
  `  <device id="${device}" name="${name}" compression="metadata"><address>tcp://127.0.0.1:${listen}</address></device>`

function configOf(own: Side, other: Side): string {
  const type = own.name === 'a' ? 'sendonly' : 'receiveonly'
  return `<configuration version="36">
  <folder id="${FOLDER}" path="${own.files}" type="${type}" rescanIntervalS="0" fsWatcherEnabled="false">
    <device id="${own.device}"></device>
    <device id="${other.device}"></device>
  </folder>
${deviceOf(own)}
${deviceOf(other)}
  <gui enabled="true" tls="false"><address>127.0.0.1:${own.api}</address><apikey>${KEY}</apikey></gui>
  <options>
    <listenAddress>tcp://127.0.0.1:${own.listen}</listenAddress>
    <globalAnnounceEnabled>false</globalAnnounceEnabled>
    <localAnnounceEnabled>false</localAnnounceEnabled>
    <relaysEnabled>false</relaysEnabled>
    <natEnabled>false</natEnabled>
    <reconnectionIntervalS>1</reconnectionIntervalS>
    <startBrowser>false</startBrowser>
    <urAccepted>-1</urAccepted>
    <autoUpgradeIntervalH>0</autoUpgradeIntervalH>
    <crashReportingEnabled>false</crashReportingEnabled>
    <setLowPriority>false</setLowPriority>
    <stunKeepaliveStartS>0</stunKeepaliveStartS>
  </options>
</configuration>
`
}
