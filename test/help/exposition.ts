// Reads Prometheus' text format, as far as Pulseward writes it.

export type Labels = Readonly<Record<string, string>>

interface Sample {
  readonly name: string
  readonly labels: Labels
  readonly value: number
}

export class Exposition {
  readonly text: string
  readonly #samples: readonly Sample[]

  constructor(text: string) {
    this.text = text
    this.#samples = text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map(parseLine)
  }

  /** The sum of all samples of this name that carry these labels; 0 where there is none. */
  value(name: string, labels: Labels = {}): number {
    return this.series(name, labels).reduce((sum, { value }) => sum + value, 0)
  }

  series(name: string, labels: Labels = {}): readonly Sample[] {
    const wanted = Object.entries(labels)
    return this.#samples.filter(
      (sample) => sample.name === name && wanted.every(([label, value]) => sample.labels[label] === value),
    )
  }
}

function parseLine(line: string): Sample {
  const [, name, block = '', value] = /^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
  if (name === undefined) throw new Error(`not a sample: ${line}`)
  const labels = Array.from(block.matchAll(/([a-z_0-9]+)="((?:[^"\\]|\\.)*)"/g), ([, key, text]) => [
    key,
    text?.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped)),
  ])
  return { name, labels: Object.fromEntries(labels), value: Number(value) }
}
