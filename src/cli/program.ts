import { styleText } from 'node:util';
import { Command } from 'commander';
import { registerApps } from './commands/apps.js';
import { registerAttach } from './commands/attach.js';
import { registerCall } from './commands/call.js';
import { registerCalls } from './commands/calls.js';
import { registerClose } from './commands/close.js';
import type { CommandContext } from './commands/command-context.js';
import { registerDeploy } from './commands/deploy.js';
import { registerDev } from './commands/dev.js';
import { registerDoctor } from './commands/doctor/doctor.js';
import { registerDrain } from './commands/drain.js';
import { registerExitCodes } from './commands/exit-codes.js';
import { registerHandle } from './commands/handle.js';
import { registerHelp } from './commands/help.js';
import { registerImage } from './commands/image/image.js';
import { registerInspect } from './commands/inspect.js';
import { registerLogs } from './commands/logs.js';
import { registerNfs } from './commands/nfs/nfs.js';
import { registerPs } from './commands/ps.js';
import { registerRouter } from './commands/router.js';
import { registerSandbox } from './commands/sandbox/sandbox.js';
import { registerSecret } from './commands/secret.js';
import { registerSigningKey } from './commands/signing-key.js';
import { registerToken } from './commands/token.js';
import { packageVersion, registerVersion } from './commands/version.js';
import { registerVolume } from './commands/volume/volume.js';
import { registerWorker } from './commands/worker.js';
import { registerWorkers } from './commands/workers.js';

const groups: readonly (readonly [
  heading: string,
  register: readonly ((program: Command, context: CommandContext) => void)[],
])[] = [
  ['Develop:', [registerDev, registerDeploy]],
  [
    'Instances:',
    [
      registerCall,
      registerCalls,
      registerPs,
      registerInspect,
      registerLogs,
      registerHandle,
      registerAttach,
      registerClose,
    ],
  ],
  ['Sandboxes:', [registerSandbox]],
  ['Data:', [registerSecret, registerVolume, registerNfs, registerImage]],
  [
    'Cluster:',
    [registerRouter, registerWorker, registerWorkers, registerApps, registerDrain, registerToken, registerSigningKey],
  ],
  ['Other:', [registerDoctor, registerVersion, registerHelp, registerExitCodes]],
];

const epilogue = `
First steps:
  holdfast dev app.ts                    a cluster on this machine, and your app
  holdfast call demo/Counter visits add  call a method, in another terminal
  holdfast sandbox create demo/shell one
  holdfast sandbox shell demo/shell/one  a terminal in a sandbox

\`holdfast help COMMAND\` shows more, \`holdfast help exit-codes\` is for scripts.`;

// Commander takes the colours out where the output shows none.
const always = { validateStream: false } as const;

/** The command line; nothing heavy is loaded before a command runs. It throws what goes wrong and never exits. */
export function createProgram(context: CommandContext): Command {
  const program = new Command('holdfast')
    .description('Stateful TypeScript classes as distributed actors, and sandboxes.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpCommand(false)
    .configureHelp({
      subcommandTerm: (command) => command.name(),
      styleTitle: (title) => styleText('bold', title, always),
    })
    .addHelpText('after', epilogue)
    // What `sandbox exec` needs.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      // Errors are reported in one place, together with those of the commands.
      outputError: () => undefined,
      writeOut: (text) => context.terminal.print(text.trimEnd()),
      writeErr: (text) => context.terminal.note(text.trimEnd()),
    });
  for (const [heading, commands] of groups) {
    program.commandsGroup(heading);
    for (const register of commands) register(program, context);
  }
  return program;
}
