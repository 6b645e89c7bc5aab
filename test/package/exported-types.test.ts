/** What programs can name: every type of a signature that they see can be imported. */
import { fileURLToPath } from 'node:url';
import * as ts from 'typescript-5.9';
import { expect, test } from 'vitest';

const dist = fileURLToPath(new URL('../../dist/', import.meta.url));

/** What exported types are only other names of, or are made of inside: nobody has to write them. */
const own = new Set(['ImageRecipe', 'PathChange', 'Single', 'SpawnedState']);
const entries = ['sdk/index.d.ts', 'cli/testing/index.d.ts'];

test('every type that the declarations of the package show is exported by one of its entries', () => {
  const files = entries.map((entry) => `${dist}${entry}`);
  const program = ts.createProgram(files, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    skipLibCheck: true,
    noEmit: true,
  });
  const checker = program.getTypeChecker();
  const exported = files.flatMap((path) => {
    const file = program.getSourceFile(path);
    const module = file === undefined ? undefined : checker.getSymbolAtLocation(file);
    if (module === undefined) throw new Error(`there is no ${path}: build first`);
    return checker.getExportsOfModule(module).map((symbol) => aliased(checker, symbol));
  });
  const known = new Set(exported);
  const missing = new Set<string>();
  const visit = (node: ts.Node, from: string): void => {
    if (isHidden(node)) return;
    const name = ts.isTypeReferenceNode(node) ? node.typeName : undefined;
    const symbol = name === undefined ? undefined : checker.getSymbolAtLocation(name);
    const target = symbol === undefined ? undefined : aliased(checker, symbol);
    if (target !== undefined && isOurs(target) && !known.has(target) && !own.has(target.name)) {
      missing.add(`${target.name} (of ${from})`);
    }
    ts.forEachChild(node, (child) => visit(child, from));
  };
  for (const symbol of exported) for (const declaration of symbol.declarations ?? []) visit(declaration, symbol.name);
  expect([...missing]).toEqual([]);
});

function aliased(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
}

/** Constructors that only this package calls, what is private, and members by symbols of our own. */
function isHidden(node: ts.Node): boolean {
  if (ts.isConstructorDeclaration(node) || ts.isHeritageClause(node)) return true;
  const { name } = node as { name?: ts.Node };
  if (name === undefined) return false;
  return ts.isPrivateIdentifier(name) || (ts.isComputedPropertyName(name) && !name.getText().startsWith('[Symbol.'));
}

/** Declared at the top of a file of this package: no type parameter, nothing of Node or TypeScript. */
function isOurs(symbol: ts.Symbol): boolean {
  return (symbol.declarations ?? []).some(
    (declaration) => ts.isSourceFile(declaration.parent) && declaration.getSourceFile().fileName.startsWith(dist),
  );
}
