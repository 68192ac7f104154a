import type { SettingsView } from '../../console/views.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { command } from '../command.ts'
import { localApi } from '../context.ts'
import { bytes } from '../format.ts'
import { facts } from '../table.ts'
import { orNone, type Parser, pairs, rate, size } from '../values.ts'

const KEYS: Readonly<Record<string, { readonly field: keyof SettingsView; readonly parse: Parser<number | null> }>> = {
  'upload-limit': { field: 'uploadLimit', parse: orNone(rate) },
  'download-limit': { field: 'downloadLimit', parse: orNone(rate) },
  capacity: { field: 'capacity', parse: orNone(size) }
}

/** `upload-limit=10MB/s` as what the daemon takes. */
export function settingChange(text: string): readonly [keyof SettingsView, number | null] {
  const at = text.indexOf('=')
  const key = Object.hasOwn(KEYS, text.slice(0, at)) ? KEYS[text.slice(0, at)] : undefined
  if (key === undefined) {
    throw new NodeDaemonError('BAD_USAGE', `"${text}" changes nothing that there is`, {
      advice: `write KEY=VALUE, with one of these keys: ${Object.keys(KEYS).join(', ')}`
    })
  }
  return [key.field, key.parse(text.slice(at + 1))]
}

const perSecond = (limit: number | null): string => (limit === null ? 'none' : `${bytes(limit)}/s`)

export const setCommand = command({
  name: 'set',
  takes: ['[change...]'],
  about: 'change limits of the running instance at once, to stay; without a change, show them',
  settings: {},
  examples: ['node-daemon set upload-limit=10MB/s capacity=50GB', 'node-daemon set download-limit=none'],
  exits: { 5: true },
  async run(context, _values, changes) {
    const change = pairs(changes.map(settingChange))
    const api = localApi(context, 'instance')
    const view =
      changes.length === 0
        ? await api.get<SettingsView>('/settings')
        : await api.send<SettingsView>('PATCH', '/settings', change)
    context.print.machine(view)
    context.print.say(
      facts([
        ['upload-limit', perSecond(view.uploadLimit)],
        ['download-limit', perSecond(view.downloadLimit)],
        ['capacity', view.capacity === null ? 'as the disk allows' : bytes(view.capacity)]
      ]).trimEnd()
    )
    return 0
  }
})
