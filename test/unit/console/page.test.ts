import { Script } from 'node:vm'
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
