/**
 * Generates src/wire/gen from proto. The result is committed, so that a checkout builds without the generator;
 * `--check` generates elsewhere and fails where the committed files differ.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const generated = 'src/wire/gen';

function generate(folder) {
  const bin = join(root, 'node_modules/.bin');
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  const { status } = spawnSync(join(bin, 'buf'), ['generate', '--output', folder], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}

function contentsOf(folder) {
  if (!existsSync(folder)) return new Map();
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.ts'));
  return new Map(files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]));
}

function check() {
  const fresh = mkdtempSync(join(tmpdir(), 'holdfast-gen-'));
  try {
    generate(fresh);
    const expected = contentsOf(join(fresh, generated));
    const committed = contentsOf(join(root, generated));
    const names = [...new Set([...expected.keys(), ...committed.keys()])].sort();
    const stale = names.filter((name) => expected.get(name) !== committed.get(name));
    for (const name of stale) console.error(`${generated}/${name} does not match proto: run \`npm run gen\``);
    if (stale.length === 0) console.log(`${generated} matches proto (${names.length} files)`);
    return stale.length === 0 ? 0 : 1;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

if (process.argv.includes('--check')) process.exitCode = check();
else generate(root);
