import { type Command, Option } from 'commander';
import { imageNotes } from '../output/image-notes.js';
import { toJson } from '../output/json-value.js';
import { withProgress } from '../output/progress.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from './options.js';

interface DeployCommandOptions extends ConnectionOptions, JsonOption {
  readonly instances: 'keep' | 'restart';
  readonly app?: string;
}

/** `holdfast deploy MODULE` */
export function registerDeploy(program: Command, context: CommandContext): void {
  const command = program
    .command('deploy')
    .description('publish the app that a module declares')
    .argument('<module>', 'its file, e.g. app.ts')
    .addOption(
      new Option('--instances <what>', 'keep: live ones stay on their deployment; restart: they move to this one')
        .choices(['keep', 'restart'])
        .default('keep'),
    )
    .option('--app <name>', 'which app, where the module declares several');
  withConnection(command).action(async (module: string, options: DeployCommandOptions) =>
    deploy(module, options, context),
  );
}

async function deploy(module: string, options: DeployCommandOptions, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const { instances, app: appName } = options;
  const { terminal, signal } = context;
  const [{ withClient }, { deployModule }] = await Promise.all([
    import('./client-access.js'),
    import('../../sdk/deploy/deploy-module.js'),
  ]);
  const { app, version, bundleSha256, createdAt, manifest } = await withProgress(`deploying ${module}`, context, () =>
    withClient(connection, (client) =>
      deployModule(module, {
        ...{ client, instances, signal, onImage: imageNotes(terminal) },
        ...(appName === undefined ? {} : { app: appName }),
      }),
    ),
  );
  const classes = Object.keys(manifest.classes);
  if (options.json) return terminal.print(toJson({ app, version, bundleSha256, createdAt, classes }));
  terminal.print(`deployed ${app}, deployment ${version}: ${classes.join(', ')}`);
}
