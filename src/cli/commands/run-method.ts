import { HoldfastError } from '../../common/errors.js';
import type { Class, ClassInstance, RemoteGenerator } from '../../sdk/classes/class-types.js';
import type { MethodInfo } from '../../sdk/infos.js';
import { toJson } from '../output/json-value.js';
import { withProgress } from '../output/progress.js';
import { valueText } from '../output/value.js';
import type { CommandContext } from './command-context.js';
import type { TimeLimit } from './time-limit.js';

/** One call as a command line asks for it. */
export interface MethodCall {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly limit: TimeLimit;
  readonly json: boolean;
  /** Not awaited: its id is printed. */
  readonly spawn?: boolean;
}

/** Calls and prints the result, or each value of a generator on a line of its own as it comes. */
export async function runMethod(
  instance: ClassInstance<Class>,
  call: MethodCall,
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const { method, args, limit, json, spawn = false } = call;
  const info = instance.cls.methodInfo(method);
  checkArguments(info, args);
  const what = `${instance.handle.app}/${instance.handle.name}/${instance.id}.${method}`;
  const stub = instance.method(method).with({ signal, ...limit.left({ what, outcome: 'not-run' }) });
  if (info.generator && spawn) {
    throw new HoldfastError('InvalidArgument', `${what} is a generator: only methods with one result can be spawned`);
  }
  if (info.generator) {
    const values = (stub as unknown as RemoteGenerator<unknown[], unknown>)(...args);
    for await (const value of values) terminal.print(json ? toJson(value) : valueText(value, terminal));
    return;
  }
  if (spawn) {
    const { id } = await withProgress(`spawning ${what}`, context, () => stub.spawn(...args));
    return terminal.print(json ? toJson({ id }) : id);
  }
  const result: unknown = await withProgress(`waiting for ${what}`, context, () => stub(...args));
  if (json) terminal.print(toJson(result));
  else if (result !== undefined) terminal.print(valueText(result, terminal));
}

/** A compiled program cannot forget them. @throws InvalidArgument with the arguments to give */
export function checkArguments({ name, parameters }: MethodInfo, args: readonly unknown[]): void {
  const needed = parameters.filter(({ optional, rest }) => !optional && !rest);
  if (args.length >= needed.length) return;
  const names = needed.map((parameter) => parameter.name);
  throw new HoldfastError(
    'InvalidArgument',
    `${name} needs ${names.join(', ')}, got ${args.length === 0 ? 'no arguments' : args.length}: give '${JSON.stringify(names)}'`,
  );
}
