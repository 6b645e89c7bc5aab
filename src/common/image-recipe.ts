import { createHash } from 'node:crypto';
import { HoldfastError } from './errors.js';
import { isHash } from './image.js';
import { envText, pathProblem } from './session-options.js';

/** A layer of an OCI image, by the hash of what its registry has. */
export interface LayerBlob {
  readonly sha256: string;
  readonly packing: 'none' | 'gzip' | 'zstd';
}

/**
 * What the files of an image begin with: the programs of a worker's host, an image that is there, a new Debian, an OCI image. `oci`
 * is what a program says, `layers` the same one by the hashes of its layers, the oldest first.
 */
export type ImageBase =
  | { readonly from: 'host' }
  | { readonly from: 'image'; readonly id: string }
  | { readonly from: 'debian'; readonly suite: string; readonly packages: readonly string[] }
  | { readonly from: 'oci'; readonly reference: string }
  | {
      readonly from: 'layers';
      /** For people. */
      readonly name: string;
      readonly layers: readonly LayerBlob[];
      readonly env: Readonly<Record<string, string>>;
      readonly workdir: string | null;
    };

/** One change of an image. `copy` names files of the client's machine, `files` the same ones by the hash of their tar. */
export type ImageStep =
  | { readonly do: 'apt' | 'pip' | 'npm'; readonly packages: readonly string[] }
  | { readonly do: 'run'; readonly command: string }
  | { readonly do: 'env'; readonly values: Readonly<Record<string, string>> }
  | { readonly do: 'workdir'; readonly path: string }
  | { readonly do: 'copy'; readonly from: string; readonly to: string }
  | { readonly do: 'files'; readonly sha256: string; readonly to: string };

/** How an image is made: data that any worker can follow. */
export interface ImageRecipe {
  readonly base: ImageBase;
  readonly steps: readonly ImageStep[];
}

const mostSteps = 256;
const mostBlobs = 127;
const mostPackages = 1_000;
const mostChars = 65_536;
const keyVersion = 1;

/** As it is shown to who waits for it, and named in errors. */
export function describeStep(step: ImageStep): string {
  switch (step.do) {
    case 'apt':
    case 'pip':
    case 'npm':
      return `${step.do}Install(${step.packages.join(', ')})`;
    case 'run':
      return `run(${step.command})`;
    case 'env':
      // Values may be long, and are nobody's business in logs.
      return `env(${Object.keys(step.values).join(', ')})`;
    case 'workdir':
      return `workdir(${step.path})`;
    case 'copy':
      return `copyLocal(${step.from}, ${step.to})`;
    case 'files':
      return `copyLocal(${step.sha256.slice(0, 12)}, ${step.to})`;
  }
}

export function describeBase(base: ImageBase): string {
  switch (base.from) {
    case 'host':
      return "the host's programs";
    case 'image':
      return `image ${base.id.slice(0, 12)}`;
    case 'debian':
      return `debianSlim: ${[base.suite, ...base.packages].join(', ')}`;
    case 'oci':
      return `fromOci(${base.reference})`;
    case 'layers':
      return `fromOci(${base.name})`;
  }
}

/** Keys of the base and of each step on it: the same ones stand for the same files, wherever they are made. */
export function recipeKeys({ base, steps }: ImageRecipe, arch: string): readonly string[] {
  // However it is called.
  const what = base.from === 'layers' ? { ...base, name: '' } : base;
  const keys = [keyOf([keyVersion, arch, what])];
  for (const step of steps) keys.push(keyOf([keyVersion, keys.at(-1), canonical(step)]));
  return keys;
}

function keyOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** The order in which variables were written says nothing. */
function canonical(step: ImageStep): unknown {
  return step.do === 'env' ? ['env', Object.entries(step.values).sort(([a], [b]) => (a < b ? -1 : 1))] : step;
}

/** A recipe as a client sent it. @throws InvalidArgument naming the step */
export function checkedRecipe(value: unknown): ImageRecipe {
  const { base, steps } = (value ?? {}) as Partial<ImageRecipe>;
  if (!Array.isArray(steps) || steps.length > mostSteps)
    throw wrong('its steps', `a list of at most ${mostSteps} steps`);
  return { base: checkedBase(base), steps: steps.map((step, index) => checkedStep(step, `step ${index + 1}`)) };
}

/** @throws InvalidArgument */
export function checkedBase(value: unknown): ImageBase {
  const base = (value ?? {}) as ImageBase;
  switch (base.from) {
    case 'host':
      return { from: 'host' };
    case 'image':
      if (!isHash(base.id)) throw wrong('its base', 'the id of an image');
      return { from: 'image', id: base.id };
    case 'debian':
      if (!/^[a-z]{1,32}$/.test(base.suite)) throw wrong('its base', 'a suite of Debian');
      return { from: 'debian', suite: base.suite, packages: checkedWords(base.packages, 'its base', true) };
    case 'oci':
      if (problemOfText(base.reference, 1_024) !== null) throw wrong('its base', 'a reference of an OCI image');
      return { from: 'oci', reference: base.reference };
    case 'layers':
      return {
        ...{ from: 'layers', name: checkedText(base.name, 'its base'), layers: checkedBlobs(base.layers) },
        env: envText('an image, its base,', base.env),
        workdir: base.workdir === null ? null : checkedTarget(base.workdir, 'its base'),
      };
    default:
      throw wrong('its base', 'host, image, debian or layers');
  }
}

function checkedBlobs(blobs: unknown): readonly LayerBlob[] {
  if (!Array.isArray(blobs) || blobs.length === 0 || blobs.length > mostBlobs)
    throw wrong('its base', `1 to ${mostBlobs} layers`);
  return blobs.map(({ sha256, packing }: LayerBlob) => {
    if (isHash(sha256) && ['none', 'gzip', 'zstd'].includes(packing)) return { sha256, packing };
    throw wrong('its base', 'layers with a SHA-256, packed with gzip, zstd or nothing');
  });
}

/** @param where for messages @throws InvalidArgument */
export function checkedStep(value: unknown, where: string): ImageStep {
  const step = (value ?? {}) as ImageStep;
  switch (step.do) {
    case 'apt':
    case 'pip':
    case 'npm':
      return { do: step.do, packages: checkedWords(step.packages, where, false) };
    case 'run':
      return { do: 'run', command: checkedText(step.command, where) };
    case 'env':
      return { do: 'env', values: envText(`an image, ${where}`, step.values) };
    case 'workdir':
      return { do: 'workdir', path: checkedTarget(step.path, where) };
    case 'copy':
      return { do: 'copy', from: checkedText(step.from, where), to: checkedTarget(step.to, where) };
    case 'files':
      if (!isHash(step.sha256)) throw wrong(where, 'the SHA-256 of a tar');
      return { do: 'files', sha256: step.sha256, to: checkedTarget(step.to, where) };
    default:
      throw wrong(where, 'apt, pip, npm, run, env, workdir or files');
  }
}

function checkedWords(words: unknown, where: string, mayBeNone: boolean): readonly string[] {
  const least = mayBeNone ? 0 : 1;
  if (Array.isArray(words) && words.length >= least && words.length <= mostPackages)
    return words.map((word: unknown) => checkedText(word, where));
  throw wrong(where, `a list of ${least} to ${mostPackages} packages`);
}

function checkedText(text: unknown, where: string): string {
  const wanted = problemOfText(text, mostChars);
  if (wanted === null) return text as string;
  throw wrong(where, wanted);
}

function problemOfText(text: unknown, most: number): string | null {
  const isGood = typeof text === 'string' && text !== '' && text.length <= most && !text.includes('\0');
  return isGood ? null : `texts of 1 to ${most} characters without NUL`;
}

/** In the image: absolute, so that it means the same whatever came before. */
function checkedTarget(path: unknown, where: string): string {
  const isGood = pathProblem(path) === null && (path as string).startsWith('/');
  if (isGood && !(path as string).split('/').includes('..')) return path as string;
  throw wrong(where, 'an absolute path without ..');
}

function wrong(where: string, wanted: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `an image cannot be made: ${where} must have ${wanted}`);
}
