// Preloaded into a proxy under test: collects all garbage on SIGUSR2, so that what is left is what is held.

process.on('SIGUSR2', () => {
  globalThis.gc?.()
  process.stderr.write('garbage collected\n')
})
