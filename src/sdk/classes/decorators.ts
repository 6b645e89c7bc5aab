import type { ExitReason } from '../../common/activation.js';
import { HoldfastError } from '../../common/errors.js';
import type { AlarmCall } from '../../common/instance-alarm.js';
import { type MethodOptions, resolveMethodOptions } from '../../common/options.js';
import type { AnyFunction } from '../functions/function-types.js';
import { isGenerator } from './generator-function.js';
import { type Decorations, decorationsOf } from './metadata.js';

/** Makes a method callable from outside. @throws InvalidArgument for static, private and symbol-named methods */
export function method(options?: MethodOptions): (fn: AnyFunction, context: ClassMethodDecoratorContext) => void {
  called('method', typeof options !== 'function');
  return (_fn, context) => {
    const { name, decorations } = decorate('method', context);
    decorations.methods.set(name, resolveMethodOptions(`@method ${name}`, options));
  };
}

/** Runs once per activation, before any call; hooks of a base class run first. */
export function enter(...nothing: readonly []): (fn: AnyFunction, context: ClassMethodDecoratorContext) => void {
  called('enter', nothing.length === 0);
  return (_fn, context) => {
    const { name, decorations } = decorate('enter', context);
    decorations.enterHooks.push(name);
  };
}

/** Runs at most once at the end of an activation, never promised after a crash; hooks of a base class run last. */
export function exit(
  ...nothing: readonly []
): (fn: (reason: ExitReason) => unknown, context: ClassMethodDecoratorContext) => void {
  called('exit', nothing.length === 0);
  return (_fn, context) => {
    const { name, decorations } = decorate('exit', context);
    decorations.exitHooks.push(name);
  };
}

/**
 * Called when the instance's alarm is due, and again until it has returned (A2); a class has one.
 * @throws InvalidArgument also for a generator: nobody would read its values, so none of its code would run
 */
export function alarm(
  ...nothing: readonly []
): (fn: (call: AlarmCall) => unknown, context: ClassMethodDecoratorContext) => void {
  called('alarm', nothing.length === 0);
  return (fn, context) => {
    const { name, decorations } = decorate('alarm', context);
    if (isGenerator(fn)) throw misuse('alarm', `on '${name}': it is a generator, whose values nobody would read`, name);
    if (decorations.alarm !== null) {
      throw new HoldfastError(
        'InvalidArgument',
        `@alarm on '${name}': '${decorations.alarm}' is the class's method for alarms already`,
        { details: { method: name } },
      );
    }
    decorations.alarm = name;
  };
}

/** Without its parentheses a decorator is given the method, and what it returns takes the method's place. */
function called(decorator: string, isCalled: boolean): void {
  if (!isCalled) throw misuse(decorator, `is written with parentheses: @${decorator}()`);
}

function decorate(
  decorator: string,
  context: ClassMethodDecoratorContext | undefined,
): { readonly name: string; readonly decorations: Decorations } {
  const { name, metadata } = checkContext(decorator, context);
  const decorations = decorationsOf(metadata);
  const isHook = decorations.enterHooks.includes(name) || decorations.exitHooks.includes(name);
  if (isHook || decorations.alarm === name || decorations.methods.has(name)) {
    throw new HoldfastError(
      'InvalidArgument',
      `@${decorator} on '${name}': it is decorated twice in one class; a method is either callable or one hook`,
      { details: { method: name } },
    );
  }
  return { name, decorations };
}

/** Compilers check types only: a decorator can be put anywhere from JavaScript, and by the older proposal's rules. */
function checkContext(
  decorator: string,
  context: ClassMethodDecoratorContext | undefined,
): { readonly name: string; readonly metadata: DecoratorMetadataObject } {
  if (typeof context !== 'object' || context === null || !('kind' in context)) {
    throw misuse(decorator, 'needs standard decorators; remove "experimentalDecorators" from tsconfig.json');
  }
  const { kind, name, metadata } = context;
  const shown = String(name);
  if (kind !== 'method') throw misuse(decorator, `is for methods, '${shown}' is a ${kind}`, shown);
  if (context.static)
    throw misuse(decorator, `on the static method '${shown}': only methods of instances can be`, shown);
  if (context.private) throw misuse(decorator, `on the private method '${shown}': make it protected or public`, shown);
  if (typeof name === 'symbol') throw misuse(decorator, `on the method '${shown}': its name must be a string`, shown);
  if (metadata === undefined) {
    throw misuse(decorator, `on '${shown}': no decorator metadata; import holdfast before the class is defined`, shown);
  }
  return { name, metadata };
}

function misuse(decorator: string, what: string, methodName?: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `@${decorator} ${what}`, {
    details: methodName === undefined ? {} : { method: methodName },
  });
}
