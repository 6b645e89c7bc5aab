/**
 * Checks who may import whom in src: the direction between folders, and which folder alone may import a client library.
 * Biome's noRestrictedImports matches the text of a specifier, which cannot tell `../runtime/` beside a file from
 * `src/runtime`; here every relative import, type-only and dynamic ones included, is resolved to its path first.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';

const root = join(import.meta.dirname, '..');

/** Folder of src -> the folders of src that it may import, itself included. */
const directions = {
  common: ['common'],
  wire: ['common', 'wire'],
  adapters: ['common', 'wire', 'adapters'],
  sdk: ['common', 'wire', 'sdk'],
  router: ['common', 'wire', 'router'],
  runtime: ['common', 'wire', 'runtime'],
  cli: ['common', 'wire', 'adapters', 'sdk', 'router', 'runtime', 'cli'],
};

/** A file that composes real parts -> the one folder or file that it may import besides. */
const compositions = {
  'src/sdk/default-client.ts': 'src/adapters/system/',
  // `sandbox.local()` is a worker's half of a session without a worker.
  'src/sdk/local/local-session.ts': 'src/cli/parts/local-sandbox.js',
};

/** Package or module -> the only folder of src that may import it. */
const clients = [
  { name: /^ioredis(\/|$)/, only: 'src/adapters/redis' },
  { name: /^(nats|@nats-io\/.*)$/, only: 'src/adapters/nats' },
  { name: /^lmdb(\/|$)/, only: 'src/adapters/embedded' },
  { name: /^@aws-sdk\//, only: 'src/adapters/s3' },
  { name: /^(node:)?(timers|perf_hooks)(\/|$)/, only: 'src/adapters/system' },
  { name: /^holdfast(\/|$)/, only: null },
];

const specifier = /\b(?:from|import|require)\s*\(?\s*(['"])(?<name>[^'"\n]+)\1/g;

function importsOf(file) {
  const text = readFileSync(file, 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/^\s*\/\/.*$/gm, '');
  return [...text.matchAll(specifier)].map((match) => ({
    name: match.groups.name,
    line: text.slice(0, match.index).split('\n').length,
  }));
}

function whyNot(file, name) {
  const folder = file.split('/')[1];
  const allowed = directions[folder];
  if (!allowed || !file.startsWith(`src/${folder}/`)) return `belongs in one of src/{${Object.keys(directions)}}`;
  if (name.startsWith('.')) {
    const target = relative(root, resolve(root, dirname(file), name)).split(sep);
    if (target[0] !== 'src') return `imports ${name}: outside of src`;
    const composed = compositions[file];
    if (composed && target.join('/').startsWith(composed)) return null;
    return allowed.includes(target[1]) ? null : `imports ${name}: src/${folder} may import ${allowed.join(', ')} only`;
  }
  const client = clients.find((client) => client.name.test(name));
  if (!client || (client.only && file.startsWith(`${client.only}/`))) return null;
  return `imports ${name}: ${client.only ? `${client.only} only` : 'not inside of src, use a relative path'}`;
}

const files = readdirSync(join(root, 'src'), { recursive: true })
  .map((file) => `src/${file.split(sep).join('/')}`)
  .filter((file) => /\.[cm]?tsx?$/.test(file));
const problems = files.flatMap((file) =>
  importsOf(join(root, file)).flatMap(({ name, line }) => {
    const why = whyNot(file, name);
    return why ? [`${file}:${line} ${why}`] : [];
  }),
);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`import boundaries hold (${files.length} files)`);
