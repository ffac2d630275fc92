import { watch as watchDirectory } from 'node:fs'
import { mkdir, mkdtempDisposable, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { watchConfig } from '../../src/config/watch.ts'
import type { WatchOptions } from '../../src/config/watch.ts'

afterEach(() => vi.useRealTimers())

test('a file written in place is a change', async () => {
  await using folder = await makeFolder()
  await using watched = watchedFile(join(folder.path, 'proxy.yaml'))
  await writeFile(watched.path, 'two')
  await watched.change()
})

test('a file renamed over it is a change, and so is the next one', async () => {
  await using folder = await makeFolder()
  await using watched = watchedFile(join(folder.path, 'proxy.yaml'))
  for (const content of ['two', 'three']) {
    await writeFile(join(folder.path, '.proxy.yaml.swp'), content)
    await rename(join(folder.path, '.proxy.yaml.swp'), watched.path)
    await watched.change()
  }
})

test('a file deleted is a change, and so is its coming back', async () => {
  await using folder = await makeFolder()
  await using watched = watchedFile(join(folder.path, 'proxy.yaml'))
  await rm(watched.path)
  await watched.change()
  await writeFile(watched.path, 'one')
  await watched.change()
})

test('a directory deleted and made anew is watched again', async () => {
  await using folder = await makeFolder()
  const path = join(folder.path, 'etc/proxy.yaml')
  await mkdir(dirname(path))
  await writeFile(path, 'one')
  await using watched = watchedFile(path)
  await rm(dirname(path), { recursive: true })
  await watched.change()
  await mkdir(dirname(path))
  await writeFile(path, 'two')
  await watched.change()
  await writeFile(path, 'three')
  await watched.change()
})

test('a swap of the ..data link, as Kubernetes updates a mounted ConfigMap, is a change every time', async () => {
  await using folder = await makeFolder()
  const publish = async (version: string) => {
    const data = join(folder.path, `..${version}`)
    await mkdir(data)
    await writeFile(join(data, 'mounted.yaml'), version)
    await symlink(`..${version}`, join(folder.path, '..data_tmp'))
    await rename(join(folder.path, '..data_tmp'), join(folder.path, '..data'))
  }
  await publish('one')
  await symlink('..data/mounted.yaml', join(folder.path, 'mounted.yaml'))
  await using watched = watchedFile(join(folder.path, 'mounted.yaml'))
  for (const [version, previous] of [
    ['two', 'one'],
    ['three', 'two'],
  ] as const) {
    await publish(version)
    await rm(join(folder.path, `..${previous}`), { recursive: true })
    await watched.change()
  }
})

test('a file written where a link leads to is a change', async () => {
  await using folder = await makeFolder()
  await mkdir(join(folder.path, 'real'))
  await writeFile(join(folder.path, 'real/proxy.yaml'), 'one')
  await symlink('real/proxy.yaml', join(folder.path, 'link.yaml'))
  await using watched = watchedFile(join(folder.path, 'link.yaml'))
  await writeFile(join(folder.path, 'real/proxy.yaml'), 'two')
  await watched.change()
})

test('certificates in other directories count, and after a reload those it names instead', async () => {
  await using folder = await makeFolder()
  const [first, second] = [join(folder.path, 'a/leaf.pem'), join(folder.path, 'b/leaf.pem')]
  for (const file of [first, second]) {
    await mkdir(dirname(file))
    await writeFile(file, 'one')
  }
  await using watched = watchedFile(join(folder.path, 'proxy.yaml'), { files: [first], debounce: 50 })
  await writeFile(first, 'two')
  await watched.change()
  watched.watch.follow([second])
  await writeFile(first, 'three')
  await writeFile(second, 'two')
  await watched.change()
  expect(watched.count()).toBe(2)
})

test('the same bytes written again, or another file in the directory, are none', async () => {
  await using folder = await makeFolder()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  await using watched = watchedFile(join(folder.path, 'proxy.yaml'))
  for (const name of ['proxy.yaml', 'other.txt']) {
    await writeFile(join(folder.path, name), 'one')
    await noticed()
    vi.runAllTimers()
  }
  expect(watched.count()).toBe(0)
  await writeFile(watched.path, 'two')
  await noticed()
  vi.runAllTimers()
  expect(watched.count()).toBe(1)
})

test('the files are read after 250 ms of quiet', async () => {
  await using folder = await makeFolder()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  await using watched = watchedFile(join(folder.path, 'proxy.yaml'), {})
  await writeFile(watched.path, 'two')
  await quiet(folder.path)
  vi.advanceTimersByTime(249)
  expect(watched.count()).toBe(0)
  vi.advanceTimersByTime(1)
  expect(watched.count()).toBe(1)
})

test('a directory that is never quiet does not put it off for ever', async () => {
  await using folder = await makeFolder()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  await using watched = watchedFile(join(folder.path, 'proxy.yaml'), {})
  await writeFile(watched.path, 'two')
  for (let write = 0; write < 100 && watched.count() === 0; write++) {
    await writeFile(join(folder.path, 'log.txt'), String(write))
    await quiet(folder.path)
    vi.advanceTimersByTime(200)
  }
  expect(watched.count()).toBe(1)
})

test.runIf(process.platform === 'linux')(
  'after disposal nothing is told any more, and nothing is left open',
  async () => {
    await using folder = await makeFolder()
    const before = await inotifyWatches()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const watched = watchedFile(join(folder.path, 'proxy.yaml'))
    await writeFile(watched.path, 'two')
    await noticed()
    await watched[Symbol.asyncDispose]()
    expect(vi.getTimerCount()).toBe(0)
    expect(watched.count()).toBe(0)
    expect(await inotifyWatches()).toBe(before)
  },
)

/** A watched file, and promises of its changes; what happens between two calls of `change` is one change. */
function watchedFile(path: string, options: WatchOptions = { debounce: 50 }) {
  let count = 0
  let told = Promise.withResolvers<void>()
  const onChange = () => {
    count++
    told.resolve()
  }
  const watch = watchConfig(path, onChange, options)
  return {
    path,
    watch,
    count: () => count,
    change: async () => {
      await told.promise
      told = Promise.withResolvers<void>()
    },
    [Symbol.asyncDispose]: async () => await watch[Symbol.asyncDispose](),
  }
}

/** Resolves once the watch has set its timer. */
async function noticed(): Promise<void> {
  while (vi.getTimerCount() === 0) await setImmediate()
}

/** Resolves once every event of the directory up to now has been delivered: the kernel keeps them in order. */
async function quiet(directory: string): Promise<void> {
  const sentinel = `sentinel-${sentinels++}`
  const watcher = watchDirectory(directory)
  const seen = new Promise<void>((resolve) => {
    watcher.on('change', (_, name) => {
      if (name === sentinel) resolve()
    })
  })
  await mkdir(join(directory, sentinel))
  await seen
  watcher.close()
  await setImmediate()
}
let sentinels = 0

/** How many watches this process has with the kernel. */
async function inotifyWatches(): Promise<number> {
  const texts = await Promise.all(
    (await readdir('/proc/self/fdinfo')).map(
      async (fd) => await readFile(`/proc/self/fdinfo/${fd}`, 'utf8').catch(() => ''),
    ),
  )
  return texts.join('').match(/^inotify wd:/gm)?.length ?? 0
}

async function makeFolder() {
  const folder = await mkdtempDisposable(join(tmpdir(), 'pulseward-watch-'))
  await writeFile(join(folder.path, 'proxy.yaml'), 'one')
  return folder
}
