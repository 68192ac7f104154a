import type { Protocol } from '../../../src/wire/protocol.ts'

/** Bytes one way, as the transport alone carries them. */
export const RAW_PROTOCOL: Protocol = {
  id: '/node-daemon-bench/raw/1.0.0',
  maxFrameBytes: 1024 * 1024,
  maxStreams: 4,
  open: 'members'
}
