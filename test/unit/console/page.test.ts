import { runInNewContext, Script } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { SCRIPTS } from '../../../src/console/page/scripts.ts'

const exported = (text: string): string[] =>
  [...text.matchAll(/^export (?:async )?(?:function|const|class) (\w+)/gm)].map(([, name]) => name ?? '')

describe.each(Object.entries(SCRIPTS))('the script %s', (name, text) => {
  test('is a script that a browser can read', () => {
    const alone = text.replaceAll(/^import .*$/gm, '').replaceAll(/^export /gm, '')
    expect(() => new Script(`'use strict';${alone}`, { filename: `${name}.js` })).not.toThrow()
  })

  test('imports what another script exports, and uses it', () => {
    for (const [line, names = '', from = ''] of text.matchAll(/^import \{ ([^}]+) \} from '\.\/(\w+)\.js'$/gm)) {
      for (const wanted of names.split(', ')) {
        expect(exported(SCRIPTS[from] ?? ''), line).toContain(wanted)
        expect(text.match(new RegExp(`\\b${wanted}\\b`, 'g'))?.length, `${wanted} is used`).toBeGreaterThan(1)
      }
    }
  })

  test('puts nothing into the page as markup', () => {
    expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc/)
    expect(text).not.toMatch(/setAttribute\('(?:style|on)/)
  })
})

describe('what the overview says of safety', () => {
  const plain = (text: string | undefined): string =>
    (text ?? '').replaceAll(/^import .*$/gm, '').replaceAll(/^export /gm, '')
  const whole = { unsyncedBytes: 0, unsyncedAgeMs: 0, workspaces: { waiting: 0 }, repository: { damaged: 0 } }
  const saidOf = (status: object): { safe: string; text: string } =>
    JSON.parse(
      runInNewContext(`${plain(SCRIPTS.format)}${plain(SCRIPTS.overview)};JSON.stringify(safetyOf(status))`, {
        status: { ...whole, ...status }
      }) as string
    )

  test('all is safe only where nothing is damaged, waits, or stands on one disk', () => {
    expect(saidOf({})).toEqual({ safe: 'true', text: expect.stringContaining('Everything is safe') })
    for (const status of [
      { unsyncedAgeMs: 5000 },
      { unsyncedBytes: 5 },
      { workspaces: { waiting: 2 } },
      { repository: { damaged: 4 } },
      { held: '3 of 4 vanished' }
    ]) {
      const { safe, text } = saidOf(status)
      expect(safe).not.toBe('true')
      expect(text).not.toContain('Everything is safe')
    }
  })

  test('damage is named first', () => {
    const { safe, text } = saidOf({ repository: { damaged: 4 }, workspaces: { waiting: 2 }, unsyncedBytes: 5 })
    expect(safe).toBe('damaged')
    expect(text).toMatch(/^4 blocks of the main repository are damaged.*2 workspaces wait.*on one disk only\.$/)
  })
})
