import type { Page } from 'playwright-core'

interface Answered {
  readonly method: string
  readonly path: string
  readonly status: number
  /** Name of the instance that served it. */
  readonly by: string
}

/** What a page asks for, and what comes of it. */
export class PageRequests {
  readonly answered: Answered[] = []
  /** Those that had no answer. */
  readonly failed: string[] = []

  /** The instance that answered last. */
  get lastBy(): string {
    return this.answered.findLast(({ by }) => by !== '' && by !== 'front-door')?.by ?? ''
  }

  /** Whatever the page was denied. What is gone, such as a kernel, is no failure (404). */
  get troubles(): string[] {
    const denied = this.answered.filter(({ status }) => status >= 400 && status !== 404)
    return [...this.failed, ...denied.map(({ method, path, status }) => `${method} ${path}: ${status}`)]
  }

  constructor(page: Page) {
    page.on('response', (response) => {
      const request = response.request()
      const by = response.headers()['x-served-by'] ?? ''
      const path = new URL(response.url()).pathname
      this.answered.push({ method: request.method(), path, status: response.status(), by })
    })
    page.on('requestfailed', (request) => {
      // Debian's Jupyter asks for an extension that it does not bring.
      if (request.url().includes('/nbextensions/')) return
      this.failed.push(`${request.method()} ${request.url()}: ${request.failure()?.errorText}`)
    })
  }
}

/** Jupyter's page of a notebook. */
export class NotebookPage {
  readonly requests: PageRequests
  /** Addresses of the WebSockets that the page opened. */
  readonly sockets: string[] = []
  readonly #page: Page
  readonly #url: string

  private constructor(page: Page, url: string) {
    this.requests = new PageRequests(page)
    this.#page = page
    this.#url = url
    page.on('websocket', (socket) => this.sockets.push(socket.url()))
  }

  /** Resolves once its kernel waits for work. */
  static async open(page: Page, url: string): Promise<NotebookPage> {
    const notebook = new NotebookPage(page, url)
    await page.goto(url)
    await notebook.ready()
    return notebook
  }

  async ready(): Promise<void> {
    await this.#page.locator('#kernel_indicator_icon.kernel_idle_icon').waitFor()
  }

  /** Runs one more cell; resolves with what it prints, which must be something. */
  async run(code: string): Promise<string> {
    await this.#write(code)
    const cells = await this.#page.locator('.code_cell').count()
    await this.#page.keyboard.press('Shift+Enter')
    const printed = this.#page
      .locator('.code_cell')
      .nth(cells - 1)
      .locator('.output_stdout pre')
    return (await printed.innerText()).trim()
  }

  /** Writes a line below what stands in the last cell, and saves. */
  async save(line: string): Promise<{ status: number; by: string }> {
    await this.#write(line)
    const contents = new URL(this.#url).pathname.replace('/notebooks/', '/api/contents/')
    const coming = this.#page.waitForResponse((response) => {
      return response.request().method() === 'PUT' && new URL(response.url()).pathname === contents
    })
    await this.#page.locator('#save-notbook button').click()
    const answer = await coming
    return { status: answer.status(), by: answer.headers()['x-served-by'] ?? '' }
  }

  async #write(line: string): Promise<void> {
    await this.#page.locator('.code_cell .CodeMirror').last().click()
    await this.#page.keyboard.press('Control+End')
    await this.#page.keyboard.type(`\n${line}`)
  }

  /** Somebody opens it anew: with a kernel that runs, or a new one. */
  async reload(): Promise<void> {
    await this.#page.reload()
    await this.ready()
  }
}
