import { expect, test } from 'vitest'
import { declaredService } from '../../../src/cli/declared-service.ts'

const WIKI = { name: 'wiki', route: '/wiki', scope: 'service', version: '2.1', needs: { gpu: 'yes' } }

test('a service is declared in words', () => {
  expect(declaredService('name=wiki route=/wiki scope=service version=2.1 needs=gpu=yes')).toMatchObject(WIKI)
})

test.each([
  '{"name":"wiki"',
  '{"name":"wiki","route":"/wiki","colour":"red"}',
  '{}',
  'wiki',
  'name=wiki name=lab route=/'
])('what declares no service is refused: %s', (text) => {
  expect(() => declaredService(text)).toThrow(expect.objectContaining({ code: 'BAD_USAGE' }))
})
