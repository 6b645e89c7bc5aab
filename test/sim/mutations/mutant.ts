import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Mutation } from './mutation.js';

const root = join(import.meta.dirname, '../../..');
const copied = ['package.json', 'tsconfig.json', 'tsconfig.base.json', 'src', 'test/sim'];

/** What the sources are; what was found of others says nothing of these. */
export function sourcesHash(): string {
  const hash = createHash('sha256');
  for (const folder of ['src', 'test/sim']) {
    const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).sort();
    for (const name of names.filter((each) => each.endsWith('.ts') && !each.startsWith('mutations'))) {
      hash.update(`${name}\0`).update(readFileSync(join(root, folder, name)));
    }
  }
  return hash.digest('hex');
}

/** @throws where a guard is not where the mutation says */
export function checkMutation(mutation: Mutation): void {
  const texts = new Map<string, string>();
  for (const { file, from, to } of mutation.changes) {
    const text = texts.get(file) ?? readFileSync(join(root, file), 'utf8');
    texts.set(file, replaced(text, { file, from, to }));
  }
}

/** The sources without one guard, in a folder of their own, so that nobody else meets the mutant. */
export class Mutant {
  readonly #folder = mkdtempSync(join(tmpdir(), 'holdfast-mutant-'));

  constructor({ changes }: Mutation) {
    try {
      for (const path of copied) cpSync(join(root, path), join(this.#folder, path), { recursive: true });
      symlinkSync(join(root, 'node_modules'), join(this.#folder, 'node_modules'));
      for (const change of changes) {
        const path = join(this.#folder, change.file);
        writeFileSync(path, replaced(readFileSync(path, 'utf8'), change));
      }
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** The first of the seeds that is red; null: all hold. */
  async firstRed(seeds: {
    readonly first: number;
    readonly count: number;
    readonly jobs: number | null;
  }): Promise<{ readonly seed: number; readonly rule: string } | null> {
    const jobs = seeds.jobs === null ? [] : ['--jobs', String(seeds.jobs)];
    const range = ['--seed', String(seeds.first), '--seeds', String(seeds.count)];
    const output = await this.#run(['test/sim/main.ts', ...range, ...jobs, '--until-red', '--quiet']);
    const red = /^seed (\d+): ([a-z-]+):/m.exec(output);
    if (red !== null) return { seed: Number(red[1]), rule: red[2] ?? '' };
    const success = /^(success): /m.exec(output);
    if (success !== null) return { seed: seeds.first, rule: 'success' };
    if (!/\d+ of \d+ seeds hold/.test(output)) throw new Error(`the mutant does not run:\n${output}`);
    return null;
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #run(script: readonly string[]): Promise<string> {
    const child = spawn(process.execPath, ['--import', 'tsx', ...script], {
      cwd: this.#folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (bytes: Buffer): void => {
      output += bytes.toString('utf8');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    return new Promise((resolve) =>
      child.on('close', (code, signal) => resolve(`${output}ended with ${signal ?? `code ${code}`}\n`)),
    );
  }
}

function replaced(text: string, { file, from, to }: Mutation['changes'][number]): string {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, expected once: ${from}`);
  return parts.join(to);
}
