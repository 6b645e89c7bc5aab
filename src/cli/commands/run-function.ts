import { HoldfastError } from '../../common/errors.js';
import { type ClassManifest, declaredKindOf } from '../../common/manifest.js';
import { resourceOf } from '../../sdk/classes/deployments.js';
import type { Client } from '../../sdk/client.js';
import { coreOf } from '../../sdk/client.js';
import { FunctionSource } from '../../sdk/functions/function-source.js';
import { toJson } from '../output/json-value.js';
import { withProgress } from '../output/progress.js';
import { valueText } from '../output/value.js';
import type { CommandContext } from './command-context.js';
import { checkArguments } from './run-method.js';
import type { TimeLimit } from './time-limit.js';

/** One call of a function as a command line asks for it. */
export interface FunctionCallCommand {
  readonly client: Client;
  readonly reference: { readonly app: string; readonly name: string };
  readonly args: readonly unknown[];
  readonly limit: TimeLimit;
  readonly json: boolean;
  /** Not awaited: its id is printed. */
  readonly spawn: boolean;
}

/** Calls and prints the result, or each value of a generator on a line of its own as it comes. @throws NotFound */
export async function runFunction(call: FunctionCallCommand, context: CommandContext): Promise<void> {
  const { terminal, signal } = context;
  const { client, reference, args, limit, json, spawn } = call;
  const { app, name } = reference;
  const core = coreOf(client);
  const what = `${app}/${name}`;
  const told = { what: `the router at ${core.endpoint} to tell of ${what}`, outcome: 'not-run' } as const;
  const deployment = await limit.during(told, core.deployments.current(app));
  if (Object.hasOwn(deployment.manifest.classes, name)) refuseClass(deployment.manifest.classes[name], what);
  resourceOf(deployment, 'function', name);
  const source = new FunctionSource({ appName: app, name, local: null, deployment, choice: core });
  checkArguments({ ...source.shape, name }, args);
  const options = { signal, ...limit.left({ what, outcome: 'not-run' }) };
  if (source.shape.generator && spawn)
    throw new HoldfastError('InvalidArgument', `${what} is a generator: only functions with one result can be spawned`);
  if (source.shape.generator) {
    for await (const value of source.stream(args, options))
      terminal.print(json ? toJson(value) : valueText(value, terminal));
    return;
  }
  const wait = { what, outcome: 'unknown' } as const;
  if (spawn) {
    const { id } = await withProgress(`spawning ${what}`, context, () => limit.during(wait, source.spawn(args)));
    return terminal.print(json ? toJson({ id }) : id);
  }
  const result = await withProgress(`waiting for ${what}`, context, () =>
    limit.during(wait, source.call(args, options)),
  );
  if (json) terminal.print(toJson(result));
  else if (result !== undefined) terminal.print(valueText(result, terminal));
}

function refuseClass(named: ClassManifest | undefined, what: string): void {
  if (named === undefined || declaredKindOf(named) !== 'class') return;
  throw new HoldfastError(
    'InvalidArgument',
    `${what} is a class: say of which instance, and which method: \`holdfast call ${what} INSTANCE METHOD\``,
  );
}
