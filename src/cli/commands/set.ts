import type { SettingsView } from '../../console/views.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { command } from '../command.ts'
import { localApi } from '../context.ts'
import { bytes, limitText } from '../format.ts'
import { facts } from '../table.ts'
import { limitSchedule, orNone, type Parser, pairs, size } from '../values.ts'

/** What a key changes. */
const KEYS: Readonly<Record<string, Parser<Partial<SettingsView>>>> = {
  'upload-limit': (text) => {
    const { limit, hours } = limitSchedule(text)
    return { uploadLimit: limit, uploadHours: [...hours] }
  },
  'download-limit': (text) => {
    const { limit, hours } = limitSchedule(text)
    return { downloadLimit: limit, downloadHours: [...hours] }
  },
  capacity: (text) => ({ capacity: orNone(size)(text) })
}

/** `upload-limit=10MB/s` as its key and what the daemon takes. */
export function settingChange(text: string): readonly [string, Partial<SettingsView>] {
  const at = text.indexOf('=')
  const key = text.slice(0, at)
  const parse = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined
  if (parse === undefined) {
    throw new NodeDaemonError('BAD_USAGE', `"${text}" changes nothing that there is`, {
      advice: `write KEY=VALUE, with one of these keys: ${Object.keys(KEYS).join(', ')}`
    })
  }
  return [key, parse(text.slice(at + 1))]
}

export const setCommand = command({
  name: 'set',
  takes: ['[change...]'],
  about:
    'change limits of the running instance at once, to stay; without a change, show them; hours are those of its clock and ' +
    'time zone, and the first that fit hold',
  settings: {},
  examples: [
    'node-daemon set upload-limit=10MB/s capacity=50GB',
    'node-daemon set upload-limit=none,1MB/s@08:00-18:00',
    'node-daemon set download-limit=none'
  ],
  exits: { 5: true },
  async run(context, _values, changes) {
    const change = Object.assign({}, ...Object.values(pairs(changes.map(settingChange))))
    const api = localApi(context, 'instance')
    const view =
      changes.length === 0
        ? await api.get<SettingsView>('/settings')
        : await api.send<SettingsView>('PATCH', '/settings', change)
    context.print.machine(view)
    context.print.say(
      facts([
        ['upload-limit', limitText(view.uploadLimit, view.uploadHours)],
        ['download-limit', limitText(view.downloadLimit, view.downloadHours)],
        ['capacity', view.capacity === null ? 'as the disk allows' : bytes(view.capacity)]
      ]).trimEnd()
    )
    return 0
  }
})
