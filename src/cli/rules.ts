// `pulseward rules`: the rules of the kernel that take devices to the listeners of proxy.yaml; prints, sets or clears them.

import { parseArgs } from 'node:util'
import { loadConfig } from '../config/load.ts'
import { PulsewardError } from '../errors.ts'
import {
  iptablesCommands,
  iptablesRemoval,
  nftRemoval,
  nftScript,
  routeCommands,
  type Command,
  type RulePlan,
} from '../net/rules.ts'
import { rulePlanOf } from './intercepting.ts'
import { UsageError, type Io } from './io.ts'
import { runTool, type Run } from './tool.ts'

export const rulesHelp = `usage: pulseward rules [-c FILE] [--iptables | --apply | --remove]

Listeners with mode redirect or tproxy take in devices that have another
address in their settings. The kernel has to lead them there: this prints the
rules for it, for the network interfaces and destinations of proxy.yaml, as
commands to read and to paste. Linux only.

  -c, --config FILE  the configuration, instead of proxy.yaml
      --iptables     the same rules for iptables instead of nftables
      --apply        set them with nft and ip, instead of printing them; what
                     is there of us is replaced at once, so do it again after
                     every change of proxy.yaml. Needs CAP_NET_ADMIN
      --remove       clear what --apply has set
  -h, --help         this text

Rules are gone after the next boot of the machine: run --apply before the proxy
starts, as docs/interception.md shows for systemd.

exit status: 0 done; 1 the configuration cannot be used, or the kernel refused;
2 usage
`

/**
 * @returns the exit status.
 * @throws {UsageError} for arguments it does not know; {ConfigError} for a configuration that cannot be used;
 *   {PulsewardError} where no rule can do it, or the system refuses it.
 */
export async function rules(argv: string[], io: Io, run: Run = runTool): Promise<number> {
  const { config: file, iptables, apply, remove, help } = readArguments(argv)
  if (help) {
    io.stdout(rulesHelp)
    return 0
  }
  const { config, warnings } = loadConfig(file, io.env, io.cwd)
  for (const { message } of warnings) io.stderr(`pulseward: warning: ${message}\n`)
  if (remove) {
    clear(run)
    io.stdout('cleared\n')
    return 0
  }
  const plan = rulePlanOf(config)
  if (plan.listeners.length === 0 && !plan.preserveSource) {
    // A configuration that no longer intercepts leaves nothing behind either.
    if (apply) clear(run)
    io.stdout('# every listener is direct: no rules are needed\n')
    return 0
  }
  if (apply) {
    set(plan, run)
    io.stdout('set\n')
  } else io.stdout(iptables ? iptablesText(plan) : nftText(plan))
  return 0
}

function readArguments(argv: string[]) {
  try {
    const { values } = parseArgs({
      args: argv,
      options: {
        config: { type: 'string', short: 'c', default: 'proxy.yaml' },
        iptables: { type: 'boolean', default: false },
        apply: { type: 'boolean', default: false },
        remove: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    const { iptables, apply, remove } = values
    if ([iptables, apply, remove].filter(Boolean).length > 1)
      throw new UsageError('expected one of --iptables, --apply and --remove', 'see "pulseward rules --help"')
    return values
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown
    throw UsageError.of(thrown, 'rules')
  }
}

function nftText(plan: RulePlan): string {
  const routes = routeCommands(plan, 'add').map(spelled)
  return [
    '# replaces the table "inet pulseward" at once, and touches no other',
    "nft -f - <<'END'",
    `${nftScript(plan)}END`,
    ...(routes.length > 0 ? ['# takes what is marked to the sockets of this machine', ...routes] : []),
    '',
  ].join('\n')
}

function iptablesText(plan: RulePlan): string {
  const lines = [...iptablesCommands(plan), ...routeCommands(plan, 'add')].map(spelled)
  const removal = [...iptablesRemoval(plan), ...routeCommands(plan, 'del')].map(spelled)
  return [...lines, '# and to clear them:', ...removal.map((line) => `# ${line}`), ''].join('\n')
}

/** No word of it has anything in it that a shell would read otherwise: proxy.yaml admits none. */
function spelled(command: Command): string {
  return command.join(' ')
}

/** Routes before marks, and marks away before routes: what is marked without a route would travel on. */
function set(plan: RulePlan, run: Run): void {
  const routes = routeCommands(plan, 'add')
  for (const command of routes) demand(run, command)
  demand(run, ['nft', '-f', '-'], nftScript(plan))
  if (routes.length === 0) dropRoutes(run)
}

function clear(run: Run): void {
  demand(run, ['nft', '-f', '-'], `${nftRemoval().join('\n')}\n`)
  dropRoutes(run)
}

/** Whatever is there of us, also of an earlier proxy.yaml; most often nothing is, and that is no failure. */
function dropRoutes(run: Run): void {
  for (const command of routeCommands({ listeners: [], preserveSource: true }, 'del')) run(command)
}

function demand(run: Run, command: Command, input?: string): void {
  const { status, complaint } = run(command, input)
  // A routing rule that is there already is as good.
  if (status === 0 || complaint.endsWith('File exists')) return
  const hint =
    status === undefined
      ? 'install it; Debian has it in the package "nftables" or "iproute2"'
      : 'run it as root or with CAP_NET_ADMIN; "pulseward check" says what is missing'
  const what = command.slice(0, 4).join(' ')
  throw new PulsewardError('rules-refused', 'config', `"${what}" failed: ${complaint}`, { hint })
}
