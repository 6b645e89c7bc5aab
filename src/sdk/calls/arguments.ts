import { HoldfastError } from '../../common/errors.js';
import type { ParameterManifest } from '../../common/manifest.js';

/** Arguments at the end that are undefined are as good as absent: `named('x', undefined)` joins like `named('x')`. */
export function withoutTrailingUndefined(args: readonly unknown[]): readonly unknown[] {
  let end = args.length;
  while (end > 0 && args[end - 1] === undefined) end -= 1;
  return end === args.length ? args : args.slice(0, end);
}

/** Why these arguments do not fit, or null. */
export function arityProblem(parameters: readonly ParameterManifest[], args: readonly unknown[]): string | null {
  const hasRest = parameters.at(-1)?.rest ?? false;
  if (!hasRest && args.length > parameters.length) {
    const list = parameters.map((parameter) => parameter.name).join(', ') || 'none';
    return `takes ${parameters.length} argument${parameters.length === 1 ? '' : 's'} (${list}), got ${args.length}`;
  }
  const missing = parameters.find((parameter, index) => index >= args.length && !parameter.optional && !parameter.rest);
  return missing === undefined ? null : `needs the argument '${missing.name}', got ${args.length} arguments`;
}

export function wrongArguments(className: string, problem: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `the constructor of '${className}' ${problem}`, {
    details: { class: className },
  });
}
