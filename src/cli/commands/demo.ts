import { command, onlyNow } from '../command.ts'
import { maybe, toggle, value } from '../settings.ts'
import { line, whole } from '../values.ts'

export const demoCommand = command({
  name: 'demo',
  about:
    'a whole federation on this machine, as a story: users save files, one server leaves, one dies, nothing is lost',
  settings: {
    users: onlyNow(value('<n>', 'how many named users; three guests come as well', whole(1, 200), 12, '12')),
    input: onlyNow(
      maybe('<dir>', 'the files that users save: at most 300 files and 50 MB of them', line(4096), "this program's own")
    ),
    once: toggle('end by itself, and clean up', { flagOnly: true })
  },
  examples: ['node-daemon demo', 'node-daemon demo --once --json', 'node-daemon demo --input ~/Documents --users 30'],
  exits: { 0: 'nothing was lost, and nobody saw an error', 1: 'something was lost or failed', 130: 'interrupted' },
  async run(context, values) {
    const { tellDemo } = await import('../demo/story.ts')
    return await tellDemo(context, values)
  }
})
