import type { Command } from 'commander'
import { type Branch, command } from '../command.ts'
import { completionScript, SHELLS } from '../completion.ts'
import { oneOf } from '../values.ts'

/** @param tree the whole tree of commands, built when it is needed */
export function completionCommand(tree: () => Command): Branch {
  return command({
    name: 'completion',
    takes: ['<shell>'],
    about: `print a completion script for ${SHELLS.join(', ')}`,
    settings: {},
    examples: [
      'node-daemon completion bash > /etc/bash_completion.d/node-daemon',
      'node-daemon completion zsh > "$HOME/.zfunc/_node-daemon"',
      'node-daemon completion fish > "$HOME/.config/fish/completions/node-daemon.fish"'
    ],
    async run({ terminal }, _values, [shell = '']) {
      terminal.out(completionScript(tree(), oneOf(...SHELLS)(shell)))
      return 0
    }
  })
}
