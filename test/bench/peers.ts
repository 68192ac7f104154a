import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { programPath } from './system.ts'

const run = promisify(execFile)
const INSTALL_MS = 600_000

/** What the product is measured beside, and how each gets onto this machine. */
const PEERS = {
  rsync: 'apt-get install rsync',
  syncthing: 'apt-get install syncthing',
  restic: 'apt-get install restic',
  nginx: 'apt-get install nginx',
  haproxy: 'apt-get install haproxy',
  wrk: 'apt-get install wrk',
  helia: 'npm run bench -- --peers'
} as const

export type PeerName = keyof typeof PEERS

export const notInstalled = (peer: PeerName): string => `not installed: ${PEERS[peer]}`

const HELIA_FOLDER = join(import.meta.dirname, '../../node_modules/.cache/node-daemon/bench-peers')
const HELIA_ENTRY = 'helia.js'
const HELIA_PACKAGES = {
  '@helia/bitswap': '4.0.19',
  '@helia/libp2p': '2.1.4',
  '@helia/unixfs': '8.0.5',
  '@libp2p/identify': '4.1.14',
  '@libp2p/noise': '17.0.3',
  '@libp2p/tcp': '11.0.28',
  '@libp2p/yamux': '8.0.3',
  '@multiformats/multiaddr': '13.0.3',
  'blockstore-fs': '4.0.1',
  helia: '7.1.15',
  multiformats: '14.0.5'
} as const
const HELIA_EXPORTS = `export { createHeliaLight } from 'helia'
export { withBitswap } from '@helia/bitswap'
export { withLibp2pLight } from '@helia/libp2p'
export { unixfs } from '@helia/unixfs'
export { FsBlockstore } from 'blockstore-fs'
export { identify } from '@libp2p/identify'
export { noise } from '@libp2p/noise'
export { tcp } from '@libp2p/tcp'
export { yamux } from '@libp2p/yamux'
export { multiaddr } from '@multiformats/multiaddr'
export { CID } from 'multiformats/cid'
`

/** The module that exports what a Helia node needs; null where it is not installed. */
export function heliaEntry(): string | null {
  const entry = join(HELIA_FOLDER, HELIA_ENTRY)
  return existsSync(entry) ? entry : null
}

/** Installs Helia in a folder of its own, so that it is no dependency of the product. */
export async function installHelia(): Promise<void> {
  if (heliaEntry() !== null) return
  await rm(HELIA_FOLDER, { recursive: true, force: true })
  await mkdir(HELIA_FOLDER, { recursive: true })
  const manifest = { private: true, type: 'module', dependencies: HELIA_PACKAGES }
  await writeFile(join(HELIA_FOLDER, 'package.json'), JSON.stringify(manifest, null, 2))
  const flags = ['install', '--ignore-scripts', '--no-audit', '--no-fund']
  await run('npm', flags, { cwd: HELIA_FOLDER, timeout: INSTALL_MS })
  // Written last: only a whole installation has it.
  await writeFile(join(HELIA_FOLDER, HELIA_ENTRY), HELIA_EXPORTS)
}

/** Each peer, and what is to be done where it is not there; null where it is. */
export async function peersHere(): Promise<{ readonly name: PeerName; readonly todo: string | null }[]> {
  return Promise.all(
    (Object.keys(PEERS) as PeerName[]).map(async (name) => {
      const found = name === 'helia' ? heliaEntry() : await programPath(name)
      return { name, todo: found === null ? PEERS[name] : null }
    })
  )
}
