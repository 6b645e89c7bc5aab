import { createRequire } from 'node:module';
import type * as Acorn from 'acorn';
import type { ParameterManifest } from '../../common/manifest.js';
import type { Class } from './class-types.js';

/** What the source of a function says about its parameters. */
export interface Parameters {
  readonly parameters: readonly ParameterManifest[];
  /** Text of the parameter list; null where there is no source. */
  readonly signature: string | null;
  /** Declared as `function*` or `async function*`. */
  readonly generator: boolean;
}

/**
 * Says that a parameter is optional although its source text does not: compilers drop TypeScript's `?`.
 *
 * @param source text of the function or class, @param end where the parameter's name ends in it
 */
export type OptionalHint = (source: string, end: number) => boolean;

type Params = Pick<Acorn.Function, 'params' | 'start' | 'body' | 'generator'>;

const none: Parameters = { parameters: [], signature: null, generator: false };
/** Of a function without source, as a bound one: anything may be given. */
const anything: Parameters = {
  parameters: [{ name: 'args', optional: true, rest: true }],
  signature: null,
  generator: false,
};

let acorn: typeof Acorn | null = null;

const never: OptionalHint = () => false;

/** Parameters of a method, from its source text. */
export function methodParameters(fn: (...args: never) => unknown, hint = never): Parameters {
  const source = Function.prototype.toString.call(fn);
  const asMethod = parse(`({${source}})`);
  if (asMethod?.type === 'ObjectExpression') {
    const [property] = asMethod.properties;
    if (property?.type === 'Property' && property.value.type === 'FunctionExpression') {
      return read({ source, shift: 2, hint }, property.value);
    }
  }
  const asFunction = parse(`(${source})`);
  if (asFunction?.type === 'FunctionExpression' || asFunction?.type === 'ArrowFunctionExpression') {
    return read({ source, shift: 1, hint }, asFunction);
  }
  return anything;
}

/** Parameters of the constructor that `new` runs: the class's own, or the nearest base class's. */
export function constructorParameters(ctor: Class, hint = never): Parameters {
  for (let level: unknown = ctor; typeof level === 'function' && level !== Function.prototype; ) {
    const source = Function.prototype.toString.call(level);
    const expression = parse(`(${source})`);
    if (expression?.type !== 'ClassExpression') return anything;
    const own = expression.body.body.find(
      (member) => member.type === 'MethodDefinition' && member.kind === 'constructor',
    );
    if (own?.type === 'MethodDefinition') return read({ source, shift: 1, hint }, own.value);
    level = Object.getPrototypeOf(level);
  }
  return none;
}

/** The parser is loaded when the first class is described, not at import. */
function parse(text: string): Acorn.Expression | null {
  acorn ??= createRequire(import.meta.url)('acorn') as typeof Acorn;
  try {
    return acorn.parseExpressionAt(text, 1, {
      ecmaVersion: 'latest',
      checkPrivateFields: false,
      allowAwaitOutsideFunction: true,
    });
  } catch {
    return null; // Native code, or syntax newer than the parser: described as taking anything.
  }
}

/** Source text, how far the parsed text is ahead of it, and what is known beside it. */
interface Source {
  readonly source: string;
  readonly shift: number;
  readonly hint: OptionalHint;
}

function read(from: Source, fn: Params): Parameters {
  return {
    parameters: fn.params.map((pattern, index) => describe(from, pattern, index)),
    signature: signatureText(from, fn),
    generator: fn.generator ?? false,
  };
}

/** For a method the function node begins at its parameter list, for `function f(a) {}` before its keyword. */
function signatureText({ source, shift }: Source, fn: Params): string {
  const head = source
    .slice(fn.start - shift, fn.body.start - shift)
    .trim()
    .replace(/\s*=>$/, '');
  return head.replace(/^(?:async\s*)?(?:function\s*)?\*?\s*[\w$]*\s*(?=\()/, '').replace(/\s+/g, ' ');
}

function describe(from: Source, pattern: Acorn.Pattern, index: number): ParameterManifest {
  switch (pattern.type) {
    case 'Identifier': {
      const optional = from.hint(from.source, pattern.end - from.shift);
      return { name: pattern.name, optional, rest: false };
    }
    case 'AssignmentPattern':
      return { ...describe(from, pattern.left, index), optional: true };
    case 'RestElement':
      return { ...describe(from, pattern.argument, index), optional: true, rest: true };
    default:
      return { name: `arg${index}`, optional: from.hint(from.source, pattern.end - from.shift), rest: false };
  }
}
