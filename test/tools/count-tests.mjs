// Prints how many tests passed and failed in the last run of `npm test`, alone on a line. A run that left no report has failed.
import { readFileSync } from 'node:fs'

const REPORT = new URL('../../node_modules/.cache/node-daemon/tests.json', import.meta.url)

function counts() {
  try {
    const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(readFileSync(REPORT, 'utf8'))
    return { passed: numPassedTests, failed: numFailedTests === 0 && numFailedTestSuites > 0 ? 1 : numFailedTests }
  } catch {
    return { passed: 0, failed: 1 }
  }
}

const { passed, failed } = counts()
console.log(`${passed} passed, ${failed} failed`)
