import { expect, test } from 'vitest'
import { tlsFiles } from '../../../src/cli/tls-files.ts'

test('a certificate is named with its key, or not at all', () => {
  expect(tlsFiles({ 'tls-cert': 'c', 'tls-key': 'k' })).toEqual({ cert: 'c', key: 'k' })
  expect(tlsFiles({ 'tls-cert': null, 'tls-key': null })).toBeNull()
})

test.each([
  [{ 'tls-cert': 'c', 'tls-key': null }, '--tls-key'],
  [{ 'tls-cert': null, 'tls-key': 'k' }, '--tls-cert']
])('%j: the file that is missing is named', (values, missing) => {
  expect(() => tlsFiles(values)).toThrow(
    expect.objectContaining({ code: 'BAD_USAGE', message: `${missing} is missing`, advice: expect.any(String) })
  )
})
