import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** Starts a thread that answers as `reader-thread` does. */
export type StartThread = (options: { readonly idle: boolean }) => Worker

/** The thread's own code: beside this file, compiled as this one is. */
const THREAD = new URL(`./reader-thread${extname(import.meta.url)}`, import.meta.url)

export const startReaderThread: StartThread = (options) =>
  new Worker(THREAD, { workerData: options, name: options.idle ? 'scan-reader' : 'prompt-reader' })
