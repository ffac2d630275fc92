// `${NAME}` and `${NAME:-default}` in the texts of proxy.yaml, filled in from the environment.

export type Environment = Readonly<Record<string, string | undefined>>

/** The text filled in, or what is wrong with it; never what a variable holds. */
export type Filled = { readonly text: string } | { readonly message: string; readonly hint: string }

/** Longest text a value may become. */
const LONGEST_VALUE = 65_536

const reference = /\$(\$\{|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\{)/g

/**
 * Fills in the variables of one text. An empty variable counts as a missing one, as with `:-` in a shell; `$${`
 * stands for `${` itself; what a variable holds is not searched again.
 */
export function fillIn(text: string, environment: Environment): Filled {
  let wrong: Filled | undefined
  const filled = text.replaceAll(reference, (_, escaped: string, name?: string, fallback?: string) => {
    if (escaped === '${') return '${'
    if (name === undefined) {
      wrong ??= {
        message: 'expected "${NAME}" or "${NAME:-default}"',
        hint: 'write "$${" for the characters themselves',
      }
      return ''
    }
    const value = (Object.hasOwn(environment, name) && environment[name]) || fallback
    if (value === undefined) {
      wrong ??= {
        message: `the environment variable ${name} is not set, or empty`,
        hint: `set ${name}, or give a default: "\${${name}:-…}"`,
      }
    }
    return value ?? ''
  })
  if (wrong !== undefined) return wrong
  if (filled.length > LONGEST_VALUE) {
    return { message: `expected at most ${LONGEST_VALUE} characters`, hint: 'look at the variables it names' }
  }
  return { text: filled }
}
