import { setFlagsFromString } from 'node:v8'

/**
 * Has the collector of garbage count buffers as part of the heap. By default it looks at everything again for each 32 MiB
 * of buffers that come and go, which takes half of the time while blocks are sent or received.
 */
export const countBuffersWithHeap = (): void => setFlagsFromString('--external-memory-accounted-in-global-limit')
