import type { Command } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

interface Node {
  /** Words after the program's name. */
  readonly path: readonly string[]
  readonly commands: readonly { readonly name: string; readonly about: string }[]
  readonly options: readonly { readonly long: string; readonly about: string; readonly takes: boolean }[]
}

function nodesOf(command: Command, path: readonly string[], inherited: Node['options']): Node[] {
  const own = command.options.map((option) => ({
    long: option.long ?? '',
    about: option.description,
    takes: option.required
  }))
  const help = { long: '--help', about: 'show the help', takes: false }
  const options = [...own, ...inherited.filter((one) => !own.some(({ long }) => long === one.long))]
  const withHelp = options.some(({ long }) => long === '--help') ? options : [...options, help]
  const commands = command.commands.map((child) => ({ name: child.name(), about: child.description() }))
  return [
    { path, commands, options: withHelp },
    ...command.commands.flatMap((child) => nodesOf(child, [...path, child.name()], options))
  ]
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
const words = (node: Node): string =>
  [...node.commands.map(({ name }) => name), ...node.options.map(({ long }) => long)].join(' ')

/** Walks the words typed so far down the tree, as far as they name commands. */
function walk(nodes: readonly Node[]): string {
  const arms = nodes
    .filter(({ commands }) => commands.length > 0)
    .flatMap(({ path, commands }) => commands.map(({ name }) => quoted([...path, name].join(' '))))
  return arms.join('|')
}

function bash(nodes: readonly Node[]): string {
  const arms = nodes.map((node) => `    ${quoted(node.path.join(' '))}) words=${quoted(words(node))} ;;`)
  return `# bash completion of node-daemon
_node_daemon() {
  local at='' word next words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${at:+$at }$word"
    case "$next" in ${walk(nodes)}) at="$next" ;; esac
  done
  case "$at" in
${arms.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _node_daemon node-daemon
`
}

function zsh(nodes: readonly Node[]): string {
  const described = (node: Node): string =>
    [...node.commands.map(({ name, about }) => [name, about]), ...node.options.map(({ long, about }) => [long, about])]
      .map(([word = '', about = '']) => quoted(`${word}:${about.replaceAll(':', ' ')}`))
      .join(' ')
  const arms = nodes.map((node) => `    ${quoted(node.path.join(' '))}) words_here=(${described(node)}) ;;`)
  return `#compdef node-daemon
_node_daemon() {
  local at='' word next
  local -a words_here
  for word in "\${(@)words[2,CURRENT-1]}"; do
    next="\${at:+$at }$word"
    case "$next" in ${walk(nodes)}) at="$next" ;; esac
  done
  case "$at" in
${arms.join('\n')}
  esac
  _describe 'node-daemon' words_here || _files
}
if [ "$funcstack[1]" = "_node_daemon" ]; then _node_daemon "$@"; else compdef _node_daemon node-daemon; fi
`
}

function fish(nodes: readonly Node[]): string {
  const lines = nodes.flatMap((node) => {
    const when = `-n ${quoted(`__node_daemon_at ${quoted(node.path.join(' '))}`)}`
    return [
      ...node.commands.map(
        ({ name, about }) => `complete -c node-daemon ${when} -f -a ${quoted(name)} -d ${quoted(about)}`
      ),
      ...node.options.map(
        ({ long, about, takes }) =>
          `complete -c node-daemon ${when} -l ${quoted(long.slice(2))}${takes ? ' -r' : ''} -d ${quoted(about)}`
      )
    ]
  })
  return `# fish completion of node-daemon
function __node_daemon_at
  set -l at ''
  for word in (commandline -opc)[2..-1]
    set -l next (string trim -- "$at $word")
    switch $next
      case ${walk(nodes).replaceAll('|', ' ')}
        set at $next
    end
  end
  test "$at" = "$argv[1]"
end
${lines.join('\n')}
`
}

/** A script that completes commands and flags, made from the tree of commands itself. */
export function completionScript(program: Command, shell: Shell): string {
  const nodes = nodesOf(program, [], [])
  return { bash, zsh, fish }[shell](nodes)
}
