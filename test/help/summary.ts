// The end of a test run: every suite that was skipped, by name, and for CI the counts in a file.

import { writeFileSync } from 'node:fs'
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node'

export default class Summary implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const skipped = modules.flatMap((module) =>
      skippedIn(module).map((name) => `${module.relativeModuleId}: ${name}`),
    )
    if (skipped.length > 0) {
      process.stdout.write(` Skipped:\n${skipped.map((line) => `   ${line}\n`).join('')}\n`)
    }
    const file = process.env['TEST_COUNTS_FILE']
    if (file !== undefined) writeFileSync(file, JSON.stringify(count(modules, unhandled)))
  }
}

/** What cannot be laid at one test's door (a file that does not load, an error nobody caught) is a failure of its own. */
function count(modules: readonly TestModule[], unhandled: readonly SerializedError[]) {
  const tests = modules.flatMap((module) => [...module.children.allTests()])
  const of = (state: ReturnType<TestCase['result']>['state']): number =>
    tests.filter((test) => test.result().state === state).length
  const broken = modules.filter((module) => module.errors().length > 0).length
  return { passed: of('passed'), failed: of('failed') + broken + unhandled.length, skipped: of('skipped') }
}

/** The outermost names of what was skipped: a suite that was skipped whole is named once. */
function skippedIn(parent: TestModule | TestSuite): string[] {
  return [...parent.children].flatMap((child) => {
    if (child.type === 'test') return child.result().state === 'skipped' ? [child.fullName] : []
    return child.state() === 'skipped' ? [child.fullName] : skippedIn(child)
  })
}
