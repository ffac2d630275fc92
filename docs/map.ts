// The map of the sources as Markdown, made from the sentence each file opens with; docs/map.md is what it returns.

export interface MappedFile {
  /** Relative to the repository. */
  readonly path: string
  readonly sentence: string
}

export function renderMap(files: readonly MappedFile[]): string {
  const folders = Map.groupBy(files, ({ path }) => path.slice(0, path.lastIndexOf('/')))
  const sections = [...folders]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([folder, members]) => {
      const rows = members
        .toSorted((a, b) => a.path.localeCompare(b.path))
        .map(
          ({ path, sentence }) =>
            `| [\`${path.slice(folder.length + 1)}\`](../${path}) | ${cell(sentence)} |`,
        )
      return [`## ${folder}/`, '', '| file | what it is |', '| --- | --- |', ...rows, ''].join('\n')
    })
  return [introduction, ...sections].join('\n')
}

const introduction = `# Where things are

<!-- Generated from the first line of every source file by "npm run docs". -->

Bytes arrive at \`net/listener\`, become an \`proxy/arrival\` until it is clear what they speak, then a \`proxy/session\`
with a \`proxy/pump\` for each direction. The pump has every frame judged where it lies by \`mqtt/frames\`, and writes what
passed. \`proxy/upstream\` dials once CONNECT passed, and \`tls/trust\` gives the verdict before a byte is written. \`app\`
wires it all together from one frozen \`config/snapshot\`. Who may import whom is in \`.oxlintrc.json\`, with reasons.
`

function cell(sentence: string): string {
  return sentence.replaceAll('|', '\\|')
}
