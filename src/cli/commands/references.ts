import { HoldfastError } from '../../common/errors.js';

/** `APP/CLASS`. */
export interface ClassReference {
  readonly app: string;
  readonly className: string;
}

/** `APP[/CLASS[/ID]]`; empty means all. */
export interface Scope {
  readonly app: string;
  readonly className: string;
  readonly id: string;
}

/** @throws InvalidArgument */
export function parseClassReference(text: string): ClassReference {
  const [app, className, ...rest] = text.split('/');
  if (app && className && rest.length === 0) return { app, className };
  throw new HoldfastError(
    'InvalidArgument',
    `${JSON.stringify(text)} names no class: write APP/CLASS, e.g. demo/Counter`,
  );
}

/** `APP/FUNCTION`; where there is no slash the last dot stands for it. @throws InvalidArgument */
export function parseFunctionReference(text: string): { readonly app: string; readonly name: string } {
  const at = text.includes('/') ? text.indexOf('/') : text.lastIndexOf('.');
  const [app, name] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  if (app !== '' && name !== '' && !name.includes('/')) return { app, name };
  throw new HoldfastError(
    'InvalidArgument',
    `${JSON.stringify(text)} names no function: write APP/FUNCTION, e.g. demo/thumbnail, or APP/CLASS INSTANCE METHOD`,
  );
}

/** An id may contain slashes itself. @throws InvalidArgument */
export function parseScope(text: string | undefined): Scope {
  const [app = '', className = '', ...id] = (text ?? '').split('/');
  const isComplete = text === undefined || (app !== '' && !(text.endsWith('/') && id.length === 0));
  if (isComplete) return { app, className, id: id.join('/') };
  throw new HoldfastError(
    'InvalidArgument',
    `${JSON.stringify(text)} cannot be read: write APP, APP/CLASS or APP/CLASS/ID`,
  );
}
