import type { Locator, Page } from 'playwright-core'

/** The row of a file or folder on the page of a folder. */
export const row = (page: Page, name: string): Locator => page.locator(`tr:has([data-name="${name}"])`)

/** Resolves once the page lists the file and says that all is saved. */
export async function upload(page: Page, name: string, bytes: Buffer): Promise<void> {
  await page.locator('#chooser').setInputFiles({ name, mimeType: 'application/octet-stream', buffer: bytes })
  await row(page, name).waitFor()
  await page.locator('#state', { hasText: 'All saved' }).waitFor()
}
