import type { Class, ClassInstance, RemoteGenerator } from '../../sdk/class-types.js';
import { toJson } from '../output/json-value.js';
import { withProgress } from '../output/progress.js';
import { valueText } from '../output/value.js';
import type { CommandContext } from './command-context.js';

/** One call as a command line asks for it. */
export interface MethodCall {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly timeoutMs?: number;
  readonly json: boolean;
}

/** Calls and prints the result, or each value of a generator on a line of its own as it comes. */
export async function runMethod(
  instance: ClassInstance<Class>,
  call: MethodCall,
  context: CommandContext,
): Promise<void> {
  const { terminal, signal } = context;
  const { method, args, timeoutMs, json } = call;
  const isGenerator = instance.cls.methodInfo(method).generator;
  const stub = instance.method(method).with({ signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  if (isGenerator) {
    const values = (stub as unknown as RemoteGenerator<unknown[], unknown>)(...args);
    for await (const value of values) terminal.print(json ? toJson(value) : valueText(value, terminal));
    return;
  }
  const what = `${instance.handle.app}/${instance.handle.name}/${instance.id}.${method}`;
  const result: unknown = await withProgress(`waiting for ${what}`, context, () => stub(...args));
  if (json) terminal.print(toJson(result));
  else if (result !== undefined) terminal.print(valueText(result, terminal));
}
