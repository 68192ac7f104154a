import { availableParallelism } from 'node:os'
import { NodeDaemonError } from '../core/errors.ts'
import type { Logger } from '../core/log.ts'
import { FactsList } from './facts.ts'
import { inlineReader } from './inline-reader.ts'
import type { FileReader, ReaderOptions, TakeLeaves } from './reader.ts'
import { ReaderLane } from './reader-lane.ts'
import type { Answer, Question } from './reader-messages.ts'
import { type StartThread, startReaderThread } from './reader-worker.ts'

const AT_ONCE_BYTES = 64 * 1024

/**
 * Reads in threads of its own, one less than there are processors: they are started when they are first needed, shared
 * by all who have this reader, and keep no process alive that waits for nothing of them. What somebody waits for has a
 * thread to itself. The others read with idle priority on Linux, where ionice(1) is there.
 *
 * What is to be read at once and is small is read here: to hand it to a thread would take longer.
 *
 * A thread that dies fails what it was at with `UNEXPECTED`, and is replaced.
 *
 * @param deps.start starts a thread in another way
 */
export function workerReader(deps: { readonly log: Logger; readonly start?: StartThread }): FileReader {
  const { log, start = startReaderThread } = deps
  const scans = new ReaderLane({ log, start: () => start({ idle: true }) }, Math.max(1, availableParallelism() - 1))
  const prompt = new ReaderLane({ log, start: () => start({ idle: false }) }, 1)
  const inline = inlineReader()

  const ask = (question: Question, options: ReaderOptions, take: TakeLeaves = nothing): Promise<Answer> =>
    (options.prompt ? prompt : scans).ask(question, take, options.signal)

  return {
    async begin(request, options) {
      if (options.atOnce === true) return inline.begin(request, options)
      const answer = await ask({ kind: 'begin', ...request }, options)
      if (answer.kind !== 'begin') throw unexpected()
      return { ...answer.value, facts: new FactsList(answer.value.facts) }
    },
    async list(folder, options) {
      const answer = await ask({ kind: 'list', folder }, options)
      if (answer.kind !== 'list') throw unexpected()
      return answer.value === null ? null : { ...answer.value, facts: new FactsList(answer.value.facts) }
    },
    async read(request, take, options) {
      if (options.atOnce === true && request.sizeHint <= AT_ONCE_BYTES) return inline.read(request, take, options)
      const answer = await ask({ kind: 'read', ...request }, options, take)
      if (answer.kind !== 'read') throw unexpected()
      return answer.value
    },
    async close() {
      await Promise.all([scans.close(), prompt.close()])
    }
  }
}

const nothing: TakeLeaves = async () => undefined
const unexpected = (): NodeDaemonError => new NodeDaemonError('UNEXPECTED', 'a reading thread gave another answer')
