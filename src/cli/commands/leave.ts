import type { LeaveView } from '../../console/views.ts'
import { command, onlyNow, YES } from '../command.ts'
import { localApi, sure } from '../context.ts'
import { followDrain } from '../follow-drain.ts'
import { count } from '../format.ts'
import { value } from '../settings.ts'
import { duration } from '../values.ts'

const TEN_MINUTES_MS = 600_000

export const leaveCommand = command({
  name: 'leave',
  about: "drain, give up membership, and remove users' files from this disk, each only after its receipt",
  settings: {
    ...YES,
    deadline: onlyNow(value('<time>', 'give up after this long, with nothing removed', duration, TEN_MINUTES_MS, '10m'))
  },
  examples: ['node-daemon leave', 'node-daemon leave --yes --deadline 1h'],
  exits: {
    4: 'refused: it cannot finish',
    5: true,
    6: 'out of time: what is not proven elsewhere is listed, and kept',
    130: 'not confirmed; or Ctrl-C: the leave goes on by itself'
  },
  async run(context, values) {
    const question = "Leave the federation and remove users' files from this disk, once they stand elsewhere?"
    await sure(context, question, values.yes)
    const api = localApi(context, 'instance')
    let removed = 0
    async function* views(signal: AbortSignal): AsyncGenerator<LeaveView> {
      for await (const view of api.stream<LeaveView>('/leave', { deadlineMs: values.deadline }, signal)) {
        removed = view.removedFiles ?? removed
        yield view
      }
    }
    const exit = await followDrain(context, views, { stopAfterFirst: false, lookAgain: 'node-daemon status' })
    if (exit === 0)
      context.print.say(`${count(removed, 'file', 'files')} removed. Thank you for having lent this server.`)
    return exit
  }
})
