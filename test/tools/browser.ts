import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { requireProgram } from './debian.ts'

const CHROMIUM = '/usr/bin/chromium'
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]
const START_MS = 60_000
const PATIENCE_MS = 30_000
const WIDE = { width: 1280, height: 800 }
const NARROW = { width: 380, height: 760 }

/** Pictures of pages go to the folder that this names. None are taken where it is not set. */
const PICTURES = process.env.E2E_PICTURES

/** Debian's Chromium with a new, empty profile, which is removed on dispose. It notes whatever its pages complain of. */
export class TestBrowser implements AsyncDisposable {
  /** Errors of scripts, refusals of the content security policy, errors and warnings on the pages' consoles. */
  readonly complaints: string[] = []
  readonly #profile: string
  readonly #context: BrowserContext

  private constructor(profile: string, context: BrowserContext) {
    this.#profile = profile
    this.#context = context
  }

  static async start(): Promise<TestBrowser> {
    const executablePath = requireProgram(CHROMIUM, 'chromium')
    const profile = await mkdtemp(join(tmpdir(), 'browser-'))
    const options = {
      executablePath,
      args: ARGS,
      headless: true,
      viewport: WIDE,
      timeout: START_MS,
      acceptDownloads: true
    }
    const context = await chromium.launchPersistentContext(profile, options)
    context.setDefaultTimeout(PATIENCE_MS)
    return new TestBrowser(profile, context)
  }

  async page(): Promise<Page> {
    const page = await this.#context.newPage()
    page.on('pageerror', (error) => this.complaints.push(`${page.url()}: ${error.message}`))
    page.on('console', (message) => {
      const serious = message.type() === 'error' || message.type() === 'warning'
      if (serious) this.complaints.push(`${page.url()}: ${message.text()}`)
    })
    return page
  }

  /** The page as it is: in light, in dark, and on a narrow screen. */
  async pictures(page: Page, name: string): Promise<void> {
    if (PICTURES === undefined) return
    await mkdir(PICTURES, { recursive: true })
    const take = (look: string): Promise<Buffer> =>
      page.screenshot({ path: join(PICTURES, `${name}-${look}.png`), fullPage: true })
    await page.emulateMedia({ colorScheme: 'dark' })
    await take('dark')
    await page.emulateMedia({ colorScheme: 'light' })
    await take('light')
    await page.setViewportSize(NARROW)
    await take('narrow')
    await page.setViewportSize(WIDE)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close()
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 })
  }
}
