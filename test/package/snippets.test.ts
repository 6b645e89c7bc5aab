/** Every piece of TypeScript in the README and in docs compiles against what is built, as a program of a user's. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as ts from 'typescript-5.9';
import { expect, test } from 'vitest';
import { exportedNames } from '../../src/sdk/classes/exported-names.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
/** Where they would be: the package finds itself from there. */
const folder = join(root, '.snippets');

/** What a page has said before: the app of the README, and one to declare things in. */
const before = {
  shop: "declare const shop: import('holdfast').RemoteApp<typeof import('./app.js')>;",
  app: "declare const app: import('holdfast').App;",
};

/** By path. A piece that begins with a file's name is that file, or goes on with it; others are files of their own. */
function filesOf(page: string): Map<string, string> {
  const files = new Map<string, string>();
  const text = readFileSync(join(root, page), 'utf8');
  for (const [index, [, code = '']] of [...text.matchAll(/^```ts\n(.*?)^```$/gms)].entries()) {
    const name = /^\/\/ (?:in )?([\w.-]+\.ts)$/m.exec(code.split('\n')[0] ?? '')?.[1] ?? `piece-${index + 1}.ts`;
    files.set(name, (files.get(name) ?? '') + code);
  }
  return files;
}

/** With the imports and the values that it takes for granted. */
function completed(code: string): string {
  const imported = new Set([...code.matchAll(/import \{([^}]*)\}/g)].flatMap(([, names = '']) => words(names)));
  const missing = exportedNames.filter((name) => !imported.has(name) && new RegExp(`\\b${name}\\b`).test(code));
  const lines = Object.entries(before).flatMap(([name, line]) =>
    new RegExp(`\\b${name}\\.`).test(code) && !new RegExp(`const ${name}\\b`).test(code) ? [line] : [],
  );
  const imports = missing.length === 0 ? [] : [`import { ${missing.join(', ')} } from 'holdfast';`];
  return [...imports, ...lines, code, 'export {};'].join('\n');
}

function words(names: string): string[] {
  return names.split(',').map((name) => name.replace(/\btype\b/, '').trim());
}

test.each(pages.filter((page) => filesOf(page).size > 0))('%s', (page) => {
  const files = new Map([...filesOf(page)].map(([name, code]) => [join(folder, name), completed(code)]));
  const options: ts.CompilerOptions = {
    ...{
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
    },
    ...{ lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', 'lib.esnext.decorators.d.ts'], types: ['node'] },
    ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: true, noEmit: true },
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, format, ...rest) => {
    const text = files.get(path);
    return text === undefined ? getSourceFile(path, format, ...rest) : ts.createSourceFile(path, text, format, true);
  };
  host.directoryExists = (path) => path === folder || ts.sys.directoryExists(path);
  host.getCurrentDirectory = () => root;
  const program = ts.createProgram([...files.keys()], options, host);
  const wrong = [...files.keys()].flatMap((path) => {
    const file = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText }) => `${path.slice(folder.length + 1)}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
    );
  });
  expect(wrong).toEqual([]);
});
