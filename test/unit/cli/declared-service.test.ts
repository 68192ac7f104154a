import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../../src/cli/config.ts'
import { declaredService } from '../../../src/cli/declared-service.ts'
import { list, readSettings } from '../../../src/cli/settings.ts'

const WIKI = {
  name: 'wiki',
  route: '/wiki',
  scope: 'service',
  acknowledge: 'local',
  version: '2.1',
  needs: { gpu: 'yes', site: 'freiburg' },
  writers: 'editors'
}

test('a service is declared in words, of which only name and route must be said', () => {
  const words =
    'name=wiki route=/wiki scope=service ack=local version=2.1 needs=gpu=yes needs=site=freiburg writers=editors'
  expect(declaredService(words)).toEqual(WIKI)
  expect(declaredService('  route=/   name=notes ')).toEqual({
    name: 'notes',
    route: '/',
    scope: 'user',
    acknowledge: null,
    version: '1',
    needs: {},
    writers: null
  })
})

test.each([
  ['name=wiki', /a name and a route/],
  ['name=wiki route=/w route=/x', /route stands twice/],
  ['name=wiki route=/w colour=red', /"colour=red" is none of/],
  ['name=wiki route=/w needs=a=1 needs=a=2', /twice/],
  ['name=wiki route=w', /not a route/],
  ['name=Wiki route=/w', /name of a service/],
  ['name=wiki route=/w scope=all', /all/],
  ['name=wiki route=/w scope=group writers=lab', /writers are named/],
  ['wiki', /none of/]
])('"%s" declares none', (text, why) => {
  expect(() => declaredService(text)).toThrow(why)
  expect(() => declaredService(text)).toThrow(expect.objectContaining({ code: 'BAD_USAGE' }))
})

test('a configuration declares them as lists of keys and values', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'declared-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const path = join(folder, 'config.yaml')
  await writeFile(
    path,
    `services:
  - name: wiki
    route: /wiki
    scope: service
    ack: local
    version: 2.1
    needs: { gpu: yes, site: freiburg }
    writers: editors
  - name=notes route=/notes
`
  )
  const settings = { services: list('<words>', 'services', declaredService) }
  const file = await readConfig(path, settings, { required: true })
  const { services } = readSettings(settings, { flags: {}, env: {}, file })
  expect(services).toEqual([WIKI, expect.objectContaining({ name: 'notes', route: '/notes' })])
})
