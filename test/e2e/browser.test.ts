import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import { TestBrowser } from '../tools/browser.ts'
import { TestFederation } from '../tools/federation.ts'
import { row, upload } from '../tools/files-page.ts'

const TEST_MS = 120_000
const SLOW = { timeout: 60_000 }

/** Whatever name the instance that answered has. */
const servedBy = (page: Page): Promise<string> => page.locator('#served').innerText()

async function signIn(browser: TestBrowser, federation: TestFederation): Promise<Page> {
  const { lines } = await federation.admin('admins', 'link')
  const page = await browser.page()
  await page.goto(String(lines[0]?.link))
  await page.locator('#live[data-state="live"]').waitFor()
  return page
}

async function download(page: Page, name: string, folder: string): Promise<Buffer> {
  const coming = page.waitForEvent('download')
  await row(page, name).locator('a[download]').click()
  const path = join(folder, 'downloaded')
  await (await coming).saveAs(path)
  return await readFile(path)
}

async function makeFolder(page: Page, name: string): Promise<void> {
  await page.locator('#make').click()
  await page.locator('#answer').fill(name)
  await page.locator('#yes').click()
  await row(page, name).waitFor()
}

async function remove(page: Page, name: string): Promise<void> {
  await row(page, name).locator('[data-remove]').click()
  await page.locator('#yes').click()
  await row(page, name).waitFor({ state: 'detached' })
}

test(
  'an admin approves and drains on the console, and a guest keeps files in the browser meanwhile',
  async () => {
    await using federation = await TestFederation.open()
    await using browser = await TestBrowser.start()
    const { program, code } = await federation.ask('alpha', ['--contact', 'ada@example.org', '--site', 'Freiburg'])
    const console = await signIn(browser, federation)

    const card = console.locator('#pending-cards [data-peer]')
    expect(await card.locator('.code').getAttribute('data-code')).toBe(code)
    await browser.pictures(console, 'pending')
    await card.locator('[data-action="approve"]').click()
    await browser.pictures(console, 'approve')
    await console.locator('#approve-dialog [data-action="confirm"]').click()
    await console.locator('nav a[data-page="peers"]').click()
    await console.locator('#peers-rows tr[data-state="serving"]').waitFor()
    await program.event('serving')
    await card.waitFor({ state: 'detached' })

    const files = await browser.page()
    await files.goto(federation.ready.http)
    await files.locator('.empty').waitFor()
    await browser.pictures(files, 'empty')
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) >> 3))
    const name = 'Ergebnis #1 – 50%.bin'
    await upload(files, name, bytes)
    await upload(files, 'a rather long name of a file that somebody has kept since the spring of last year.txt', bytes)
    expect(await download(files, name, federation.root)).toEqual(bytes)
    await makeFolder(files, 'Measurements')
    await makeFolder(files, 'Old drafts')
    await remove(files, 'Old drafts')
    expect(await servedBy(files)).toBe('alpha')
    await browser.pictures(files, 'files')
    await files.locator('#make').click()
    await browser.pictures(files, 'new-folder')
    await files.locator('#no').click()

    await federation.join('beta')
    await federation.settled()
    await console.locator('nav a[data-page="overview"]').click()
    await console.locator('[data-figure="serving"] .figure-value', { hasText: '2' }).waitFor()
    await console.locator('#safety[data-safe="true"]').waitFor()
    await browser.pictures(console, 'overview')
    await console.locator('nav a[data-page="workspaces"]').click()
    await console.locator('#workspaces-rows tr[data-workspace]').waitFor()
    await browser.pictures(console, 'workspaces')

    const { peerId } = await federation.peer('alpha')
    const peer = console.locator(`#peers-rows tr[data-peer="${peerId}"]`)
    await console.locator('nav a[data-page="peers"]').click()
    await peer.locator('[data-action="drain"]').click()
    await console.locator('#drain-plan li', { hasText: 'beta' }).waitFor()
    await browser.pictures(console, 'drain-plan')
    await console.locator('#drain-dialog [data-action="confirm"]').click()
    await peer.and(console.locator('[data-state="drained"], [data-state="left"]')).waitFor(SLOW)
    const certificate = console.waitForEvent('download')
    await peer.locator('[data-action="certificate"]').click()
    const path = join(federation.root, 'certificate.json')
    await (await certificate).saveAs(path)
    expect((await federation.run('receipts', 'verify', path)).code).toBe(0)
    await program.event('drained')
    await browser.pictures(console, 'drained')

    await files.reload()
    expect(await servedBy(files)).toBe('beta')
    expect(await files.locator('td.name a').allInnerTexts()).toEqual(expect.arrayContaining([name, 'Measurements']))
    expect(await download(files, name, federation.root)).toEqual(bytes)
    await row(files, 'Measurements').locator('.name a').click()
    await files.locator('.empty').waitFor()
    await upload(files, 'one.txt', Buffer.from('kept by beta'))
    await browser.pictures(files, 'in-folder')

    expect(browser.complaints).toEqual([])
  },
  TEST_MS
)
