import { HoldfastError } from './errors.js';
import type { Check } from './option-checks.js';

/** Refuses unknown options and wrong values; an option that is undefined counts as absent. @throws InvalidArgument */
export function checkOptions(where: string, options: object, checks: Readonly<Record<string, Check>>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new HoldfastError('InvalidArgument', `the options of ${where} must be an object, got ${show(options)}`);
  }
  for (const [option, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, option) ? checks[option] : undefined;
    if (check === undefined) {
      throw new HoldfastError(
        'InvalidArgument',
        `${where} has no option '${option}'; it has: ${Object.keys(checks).sort().join(', ')}`,
        { details: { option } },
      );
    }
    const wanted = value === undefined ? null : check(value);
    if (wanted !== null) throw invalidOption({ where, option, got: value }, wanted);
  }
}

/** @param wanted what the option must be */
export function invalidOption(
  { where, option, got }: { readonly where: string; readonly option: string; readonly got: unknown },
  wanted: string,
): HoldfastError {
  return new HoldfastError('InvalidArgument', `option '${option}' of ${where} must be ${wanted}, got ${show(got)}`, {
    details: { option },
  });
}

/** A value as an error tells it: short, and no object's content. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}
