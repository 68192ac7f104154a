import type { Protocol } from './protocol.ts'

/** HTTP/1.1 on a byte stream that the coordinator opens to an instance. One request at a time, kept for the next. */
export const HTTP_PROTOCOL: Protocol = {
  id: '/node-daemon/http/1.0.0',
  maxFrameBytes: 0,
  maxStreams: 512,
  open: 'members'
}
