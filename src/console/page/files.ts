import { HTML } from './html.ts'
import { SCRIPTS } from './scripts.ts'
import { STYLE } from './style.ts'

/** What the listener serves to a browser, by path. */
export const PAGE_FILES: Readonly<Record<string, { readonly type: string; readonly body: string }>> = {
  '/': { type: 'text/html; charset=utf-8', body: HTML },
  '/console.css': { type: 'text/css; charset=utf-8', body: STYLE },
  ...Object.fromEntries(
    Object.entries(SCRIPTS).map(([name, body]) => [
      `/console/${name}.js`,
      { type: 'text/javascript; charset=utf-8', body }
    ])
  )
}
