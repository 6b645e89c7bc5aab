import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import type { Verdict } from '../simulate.js';
import { leastSuccess, shareOfSuccess } from '../success.js';
import type { Mutation } from './mutation.js';

const root = join(import.meta.dirname, '../../..');
/** Below the packages that it takes from there. */
const folders = join(root, 'node_modules/.cache/sim-mutants');
/** Of which the share of calls that succeed is looked at. */
const seedsAtOnce = 25;
/** A world that takes longer has a loop without an end. */
const longestWorldSeconds = 180;

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

/** By path, what the sources are without a guard. @throws where a guard is not where the mutation says */
export function mutatedFiles({ changes }: Mutation): Map<string, string> {
  const texts = new Map<string, string>();
  for (const change of changes) {
    const path = join(root, change.file);
    texts.set(path, replaced(texts.get(path) ?? readFileSync(path, 'utf8'), change));
  }
  return texts;
}

export interface Red {
  readonly seed: number;
  readonly rule: string;
}

export interface Range {
  /** The first seed. */
  readonly from: number;
  /** The last seed. */
  readonly to: number;
  /** Seeds up to this one are known, and hold. False: stop here. */
  onHeld(seed: number): boolean;
}

/** The simulation without one guard of the product, in files of its own, so that nobody else meets the mutant. */
export class Mutant {
  readonly #folder: string;
  readonly #only: readonly string[];

  private constructor(folder: string, { only }: Mutation) {
    this.#folder = folder;
    this.#only = only === undefined ? [] : [only];
  }

  static async make(mutation: Mutation): Promise<Mutant> {
    const texts = mutatedFiles(mutation);
    mkdirSync(folders, { recursive: true });
    const mutant = new Mutant(mkdtempSync(join(folders, 'm-')), mutation);
    try {
      await build({
        absWorkingDir: root,
        entryPoints: ['test/sim/seeds-main.ts'],
        outdir: mutant.#folder,
        outExtension: { '.js': '.mjs' },
        bundle: true,
        // What is imported later is evaluated later: the product's modules after the simulation's globals.
        splitting: true,
        format: 'esm',
        platform: 'node',
        target: 'node20',
        packages: 'external',
        logLevel: 'error',
        plugins: [inPlace(texts)],
      });
      return mutant;
    } catch (error) {
      mutant.remove();
      throw error;
    }
  }

  /** The first of the seeds that is red; null: none was, of those that were run. */
  firstRed({ from, to, onHeld }: Range): Promise<Red | null> {
    const seeds = [from, to - from + 1, 1].map(String);
    const child = fork(join(this.#folder, 'seeds-main.mjs'), [...seeds, ...this.#only], { execArgv: [], silent: true });
    const output = collected(child);
    let verdicts: Verdict[] = [];
    let seconds = 0;
    return new Promise((resolve, reject) => {
      const end = (red: Red | null): void => {
        resolve(red);
        child.kill('SIGKILL');
      };
      // Seconds in which this process runs, too: both may be stopped while somebody measures.
      const ticks = setInterval(() => {
        seconds += 1;
        if (seconds > longestWorldSeconds) end({ seed: from + verdicts.length, rule: 'no end' });
      }, 1_000);
      child.on('message', (verdict: Verdict) => {
        seconds = 0;
        const seed = Number(verdict.seed);
        const [first] = verdict.violations;
        if (first !== undefined) return end({ seed, rule: first.rule });
        verdicts.push(verdict);
        if (verdicts.length < seedsAtOnce) return;
        if (shareOfSuccess(verdicts) < leastSuccess) return end({ seed, rule: 'success' });
        verdicts = [];
        if (!onHeld(seed)) end(null);
      });
      child.on('close', (code) => {
        clearInterval(ticks);
        if (code === 0) onHeld(to);
        if (code === 0) resolve(null);
        else reject(new Error(`the mutant does not run:\n${output()}`));
      });
    });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function inPlace(texts: ReadonlyMap<string, string>): Plugin {
  return {
    name: 'mutation',
    setup: ({ onLoad }) => {
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const contents = texts.get(path);
        return contents === undefined ? null : { contents, loader: 'ts' };
      });
    },
  };
}

function collected({ stdout, stderr }: ChildProcess): () => string {
  let text = '';
  for (const stream of [stdout, stderr])
    stream?.setEncoding('utf8').on('data', (more: string) => {
      text = (text + more).slice(-10_000);
    });
  return () => text;
}

function replaced(text: string, { file, from, to }: Mutation['changes'][number]): string {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, expected once: ${from}`);
  return parts.join(to);
}
