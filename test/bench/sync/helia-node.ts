import { createReadStream } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { MIB } from '../benchmark.ts'
import { answerParent } from '../worker.ts'

/** A Helia node in a process of its own: Bitswap over TCP with noise and yamux, blocks in files. */
export type ToHelia =
  | { readonly kind: 'open'; readonly entry: string; readonly folder: string }
  /** Adds a file. */
  | { readonly kind: 'add'; readonly path: string }
  /** Fetches a file from the other node, until all its blocks are in the own store. */
  | { readonly kind: 'fetch'; readonly cid: string; readonly addresses: readonly string[] }

export interface HeliaOpened {
  readonly addresses: readonly string[]
}

export interface HeliaAdded {
  readonly cid: string
  readonly ms: number
}

export interface HeliaFetched {
  readonly bytes: number
  readonly ms: number
}

interface Cid {
  toString(): string
}

interface Node {
  start(): Promise<unknown>
  stop(): Promise<unknown>
  readonly libp2p: {
    dial(address: unknown): Promise<unknown>
    getMultiaddrs(): readonly Cid[]
  }
}

interface Files {
  addByteStream(source: AsyncIterable<Uint8Array>): Promise<Cid>
  cat(cid: Cid): AsyncIterable<Uint8Array>
}

/** As far as it is used here; the packages are no dependency of this project. */
interface Helia {
  createHeliaLight(options: object): unknown
  withLibp2pLight(helia: unknown, options: object): unknown
  withBitswap(helia: unknown): Node
  unixfs(node: Node): Files
  readonly FsBlockstore: new (folder: string) => object
  identify(): unknown
  noise(): unknown
  tcp(): unknown
  yamux(): unknown
  multiaddr(text: string): unknown
  readonly CID: { parse(text: string): Cid }
}

let helia: Helia
let node: Node | null = null

function opened(): { readonly node: Node; readonly files: Files } {
  if (node === null) throw new Error('the node is not open')
  return { node, files: helia.unixfs(node) }
}

async function open(entry: string, folder: string): Promise<HeliaOpened> {
  helia = (await import(pathToFileURL(entry).href)) as Helia
  const bare = helia.createHeliaLight({ blockstore: new helia.FsBlockstore(folder) })
  const networked = helia.withLibp2pLight(bare, {
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [helia.tcp()],
    connectionEncrypters: [helia.noise()],
    streamMuxers: [helia.yamux()],
    services: { identify: helia.identify() }
  })
  node = helia.withBitswap(networked)
  await node.start()
  return { addresses: node.libp2p.getMultiaddrs().map(String) }
}

async function add(path: string): Promise<HeliaAdded> {
  const began = performance.now()
  const cid = await opened().files.addByteStream(createReadStream(path, { highWaterMark: MIB }))
  return { cid: cid.toString(), ms: performance.now() - began }
}

async function fetched(text: string, addresses: readonly string[]): Promise<HeliaFetched> {
  const { node: own, files } = opened()
  await own.libp2p.dial(addresses.map((address) => helia.multiaddr(address)))
  const began = performance.now()
  let bytes = 0
  for await (const part of files.cat(helia.CID.parse(text))) bytes += part.length
  return { bytes, ms: performance.now() - began }
}

answerParent<ToHelia>(
  async (question) => {
    switch (question.kind) {
      case 'open':
        return open(question.entry, question.folder)
      case 'add':
        return add(question.path)
      case 'fetch':
        return fetched(question.cid, question.addresses)
    }
  },
  async () => {
    await node?.stop()
  }
)
