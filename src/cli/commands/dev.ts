import type { Command } from 'commander';
import { HoldfastError } from '../../common/errors.js';
import type { CommandContext } from './command-context.js';
import { type JsonOption, keyValue, withJson } from './options.js';
import { checkAddress, isLoopback } from './server-options.js';

interface DevOptions extends JsonOption {
  readonly listen?: string;
  readonly data?: string;
  readonly objectStore?: string;
  readonly app?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const notes = `
Nothing else has to be installed or running: the store and the bus are embedded.
Other terminals of yours find the cluster by themselves.`;

/** `holdfast dev [MODULE]` */
export function registerDev(program: Command, context: CommandContext): void {
  const command = program
    .command('dev')
    .description('a cluster on this machine, with your app; deploys again when it changes')
    .argument('[module]', 'file that declares your app, e.g. app.ts')
    .option('--listen <host:port>', 'default: 127.0.0.1:7070, or the next free port')
    .option('--data <dir>', 'where instances are remembered; default: one folder per module')
    .option('--object-store <place>', 'folder, or s3://bucket/prefix?endpoint=URL; default: in --data')
    .option('--env <key=value>', 'a variable for your code; repeatable', keyValue)
    .option('--app <name>', 'which app, where the module declares several')
    .addHelpText('after', notes);
  withJson(command).action(async (module: string | undefined, options: DevOptions) => {
    const { listen = null, data: folder = null, app = null, env = {}, json = false, objectStore } = options;
    if (listen !== null) checkListen(listen);
    const { runDev } = await import('../dev/dev-session.js');
    await runDev({ module: module ?? null, app, listen, folder, objectStore, env, json }, context);
  });
}

/** Its worker and its tokens are for this machine. @throws InvalidArgument */
function checkListen(listen: string): void {
  checkAddress('--listen', listen);
  if (isLoopback(listen)) return;
  throw new HoldfastError(
    'InvalidArgument',
    `--listen ${listen} is not loopback, and \`holdfast dev\` is for one machine: use \`holdfast router\` and \`holdfast worker\``,
  );
}
