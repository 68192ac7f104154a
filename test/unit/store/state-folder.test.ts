import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { codeOf } from '../../../src/core/errors.ts'
import { type DataFolder, type DataFolderOptions, openDataFolder } from '../../../src/store/state-folder.ts'
import { temporaryFolder } from './support.ts'

async function opened(path: string, more: Partial<DataFolderOptions> = {}): Promise<DataFolder> {
  const folder = await openDataFolder(path, { kind: 'instance', pid: 4711, ...more })
  onTestFinished(() => folder.release())
  return folder
}

const codeFrom = (work: Promise<unknown>): Promise<string> => work.then(() => 'none', codeOf)

test('a new folder gets a key that it keeps, and only its owner may look', async () => {
  const path = join(await temporaryFolder(), 'below', 'data')
  const first = await opened(path)
  expect((await stat(path)).mode & 0o777).toBe(0o700)
  expect((await stat(join(path, 'identity.key'))).mode & 0o777).toBe(0o600)
  expect(first).toMatchObject({ cleanStop: true, sameBoot: true })
  await first.release()
  expect((await opened(path)).identity.peerId).toBe(first.identity.peerId)
})

test('a folder in use is refused with the process that has it, and is free again once released', async () => {
  const path = await temporaryFolder()
  const first = await opened(path)
  await expect(opened(path)).rejects.toMatchObject({
    code: 'DATA_FOLDER_IN_USE',
    message: expect.stringContaining('4711')
  })
  await first.release()
  await opened(path)
})

test('of many that open it at once, one gets it', async () => {
  const path = await temporaryFolder()
  const codes = await Promise.all(Array.from({ length: 8 }, () => codeFrom(opened(path))))
  expect(codes.filter((code) => code === 'none')).toHaveLength(1)
  expect(codes.filter((code) => code === 'DATA_FOLDER_IN_USE')).toHaveLength(7)
})

test('a lock that a power loss left unreadable does not keep anyone out', async () => {
  const path = await temporaryFolder()
  await (await opened(path)).release()
  const manifest = (await readdir(join(path, 'lock'))).find((name) => name.startsWith('MANIFEST'))
  await writeFile(join(path, 'lock', manifest ?? 'none'), 'garbage')
  await opened(path)
})

test('a folder of a newer version is refused and left as it is', async () => {
  const path = await temporaryFolder()
  await writeFile(join(path, 'version'), '2\n')
  expect(await codeFrom(opened(path))).toBe('DATA_FOLDER_NEWER')
  expect(await readdir(path)).toEqual(['version'])
})

test('a folder of the other kind of daemon is refused', async () => {
  const path = await temporaryFolder()
  await (await opened(path, { kind: 'coordinator' })).release()
  expect(await codeFrom(opened(path))).toBe('DATA_FOLDER_UNUSABLE')
})

test('a place that cannot be a folder is refused with advice', async () => {
  const path = join(await temporaryFolder(), 'file')
  await writeFile(path, '')
  await expect(opened(join(path, 'data'))).rejects.toMatchObject({
    code: 'DATA_FOLDER_UNUSABLE',
    advice: expect.stringContaining('--data')
  })
})

test('a folder that has lost its key does not silently become somebody else', async () => {
  const path = await temporaryFolder()
  const folder = await opened(path)
  await folder.remove('identity.key')
  await folder.release()
  expect(await codeFrom(opened(path))).toBe('DATA_FOLDER_UNUSABLE')
})

test('a damaged key is told', async () => {
  const path = await temporaryFolder()
  await (await opened(path)).release()
  await writeFile(join(path, 'identity.key'), 'garbage')
  expect(await codeFrom(opened(path))).toBe('INTEGRITY')
})

test('a stop without a release is noticed, and so is another run of the machine', async () => {
  const path = await temporaryFolder()
  const bootIdPath = join(await temporaryFolder(), 'boot-id')
  await writeFile(bootIdPath, 'first\n')
  const first = await opened(path, { bootIdPath })
  await first.release()
  const second = await opened(path, { bootIdPath })
  expect(second).toMatchObject({ cleanStop: true, sameBoot: true })
  await second.release()
  await second.remove('stopped')
  await writeFile(bootIdPath, 'second\n')
  expect(await opened(path, { bootIdPath })).toMatchObject({ cleanStop: false, sameBoot: false })
})

test('files are replaced as a whole, with the mode that is asked for', async () => {
  const path = await temporaryFolder()
  const folder = await opened(path)
  await folder.writeAtomic('runtime.json', 'first')
  await Promise.all(['second', 'third'].map((text) => folder.writeAtomic('runtime.json', text)))
  await folder.writeAtomic('certificates/a.json', 'certificate', { mode: 0o640 })
  expect(await readFile(join(path, 'runtime.json'), 'utf8')).toBe('third')
  expect((await stat(join(path, 'runtime.json'))).mode & 0o777).toBe(0o600)
  expect((await stat(join(path, 'certificates/a.json'))).mode & 0o777).toBe(0o640)
  expect(await readdir(join(path, 'certificates'))).toEqual(['a.json'])
  expect(Buffer.from((await folder.read('certificates/a.json')) ?? []).toString()).toBe('certificate')
  await folder.remove('certificates/a.json')
  expect(await folder.read('certificates/a.json')).toBeNull()
})

test('a write that a crash cut short leaves nothing in the way of the next', async () => {
  const path = await temporaryFolder()
  const folder = await opened(path)
  await writeFile(join(path, '.runtime.json.new'), 'half')
  await folder.writeAtomic('runtime.json', 'whole')
  expect(await readFile(join(path, 'runtime.json'), 'utf8')).toBe('whole')
})

test('no name leads out of the folder', async () => {
  const path = join(await temporaryFolder(), 'data')
  await mkdir(path)
  const folder = await opened(path)
  for (const name of ['../outside', '/etc/outside', 'a/../../outside', '']) {
    expect(await codeFrom(folder.writeAtomic(name, 'x')), name).toBe('BAD_REQUEST')
  }
})
