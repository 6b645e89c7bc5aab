import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ImageContent } from '../../common/image.js';
import { describeBase, describeStep, type ImageRecipe, type ImageStep, recipeKeys } from '../../common/image-recipe.js';
import type { ImageStore } from '../../common/images/image-store.js';
import type { Guest } from '../../common/ports/guest.js';
import type { Scratch } from '../../common/ports/sandbox.js';
import { Turns } from '../sandbox/turns.js';
import { type BuildHost, inBuildSandbox, newBuildId } from './build-sandbox.js';
import { type ActiveStep, type BuildFiles, doStep, variablesOf } from './build-step.js';
import { makeDebian } from './debian-image.js';
import type { Images } from './images.js';
import { imageOfLayers } from './layers-image.js';
import { type BuildWatch, SharedBuild } from './shared-build.js';

export interface ImageBuildsOptions {
  readonly host: BuildHost;
  readonly images: Images;
  readonly store: ImageStore;
  readonly debianMirror: string;
}

/** Of what a step writes. */
const diskGb = 20;
/** To have what a step stands on here. */
const withinMs = 600_000;
/** The others wait, in their order. */
const mostAtOnce = 2;

interface Stage {
  readonly recipe: ImageRecipe;
  /** 0: the base. */
  readonly index: number;
  readonly files: BuildFiles;
}

/**
 * Builds images of recipes.
 *
 * I1. What a key stands for is written when all of it is stored: who is killed before leaves nothing but layers that nobody names.
 * I2. On one worker nobody builds what another one is building.
 * I3. A build that ends, however, leaves no process, mount, cgroup or scratch.
 */
export class ImageBuilds {
  readonly #options: ImageBuildsOptions;
  readonly #underway = new Map<string, SharedBuild>();
  readonly #turns = new Turns(mostAtOnce);

  constructor(options: ImageBuildsOptions) {
    this.#options = options;
  }

  /**
   * @returns the image's id
   * @throws CommandFailed naming the step with the end of its output, FileNotFound with `details.sha256` where files are to be
   * sent first, NoCapacity, OutOfMemory, Unavailable, the signal's reason
   */
  build(recipe: ImageRecipe, files: BuildFiles, watch: BuildWatch): Promise<string> {
    const { store } = this.#options;
    return store.writers.run(() => this.#build(recipe, files, watch));
  }

  async #build(recipe: ImageRecipe, files: BuildFiles, watch: BuildWatch): Promise<string> {
    const { store } = this.#options;
    const keys = recipeKeys(recipe, process.arch);
    const known = await Promise.all(keys.map((key) => store.built(key)));
    // The last one that is there makes all before it needless now, though not for the next recipe that begins alike.
    await Promise.all(known.map((id) => (id === null ? undefined : store.used(id))));
    const done = known.findLastIndex((id) => id !== null);
    let image = known[done] ?? null;
    for (let index = 0; index <= done; index += 1) watch.onEvent(eventOf(recipe, index, true));
    for (let index = done + 1; index < keys.length; index += 1) {
      image = await this.#once(keys[index] as string, { recipe, index, files }, { parent: image, watch });
    }
    return image as string;
  }

  /** Gives up what is under way, and resolves when nothing of it is left. */
  async close(): Promise<void> {
    const reason = new HoldfastError('Unavailable', 'the worker ends; build the image again');
    await Promise.all([...this.#underway.values()].map((build) => build.end(reason)));
  }

  /** One step, for all who need it (I2). */
  async #once(
    key: string,
    stage: Stage,
    { parent, watch }: { readonly parent: string | null; readonly watch: BuildWatch },
  ): Promise<string> {
    const known = this.#underway.get(key);
    watch.onEvent(eventOf(stage.recipe, stage.index, false));
    if (known !== undefined && !known.isOver) return await known.join(watch);
    const build: SharedBuild = new SharedBuild(async (all) => {
      try {
        return await this.#turns.take(() => this.#make(key, { stage, parent }, all));
      } finally {
        if (this.#underway.get(key) === build) this.#underway.delete(key);
      }
    });
    this.#underway.set(key, build);
    return await build.join(watch);
  }

  async #make(
    key: string,
    { stage, parent }: { readonly stage: Stage; readonly parent: string | null },
    watch: BuildWatch,
  ): Promise<string> {
    const { store } = this.#options;
    watch.signal.throwIfAborted();
    // Another worker may have made it meanwhile.
    const known = await store.built(key);
    if (known !== null) return known;
    try {
      const image = parent === null ? await this.#base(stage, watch) : await this.#step(stage, parent, watch);
      await store.putBuilt(key, image);
      return image;
    } catch (e) {
      throw named(e, stage);
    }
  }

  async #base({ recipe: { base }, files }: Stage, watch: BuildWatch): Promise<string> {
    const { store, debianMirror: mirror, host } = this.#options;
    switch (base.from) {
      case 'host':
        return await store.putImage({ base: 'host', layers: [] });
      case 'image':
        await store.image(base.id);
        return base.id;
      case 'debian': {
        const { backend, random, openNetwork } = host;
        const scratch = await backend.createScratch({ id: newBuildId(random), root: { kind: 'bare' }, diskGb });
        return await this.#inside(scratch, watch, async (guest) => {
          const way = await openNetwork(guest, { outbound: 'all' });
          await makeDebian(base, { guest, mirror, way }, watch);
        });
      }
      case 'layers':
        return await imageOfLayers(base, { store, files }, watch);
      case 'oci':
        throw new HoldfastError('InvalidArgument', 'an OCI image is named by the hashes of its layers here');
    }
  }

  async #step({ recipe, index, files }: Stage, parent: string, watch: BuildWatch): Promise<string> {
    const { store } = this.#options;
    const step = recipe.steps[index - 1] as ImageStep;
    const content = await store.image(parent);
    const image = isActive(step) ? await this.#active({ step, content, files, parent }, watch) : parent;
    const made = await store.image(image);
    const env = { ...made.env, ...variablesOf(step, made) };
    const workdir = step.do === 'workdir' ? step.path : made.workdir;
    return await store.putImage({ ...made, env, workdir });
  }

  async #active({ step, content, files, parent }: StepParts, watch: BuildWatch): Promise<string> {
    const { images, host } = this.#options;
    const image = { id: parent, withinMs };
    const scratch = await images.createScratch(newBuildId(host.random), { diskGb, image });
    return await this.#inside(scratch, watch, (guest) => {
      const openNetwork = () => host.openNetwork(guest, { outbound: 'all' });
      return doStep(step, { guest, content, files, openNetwork }, watch);
    });
  }

  /** What a scratch holds when the work in it is done, as an image (I3). */
  async #inside(scratch: Scratch, { signal }: BuildWatch, work: (guest: Guest) => Promise<void>): Promise<string> {
    const { host, images } = this.#options;
    try {
      signal.throwIfAborted();
      await inBuildSandbox(host, scratch, work);
      return await images.snapshot(scratch, signal);
    } finally {
      await scratch.remove();
    }
  }
}

interface StepParts {
  readonly step: ActiveStep;
  readonly content: ImageContent;
  readonly files: BuildFiles;
  /** The image's id. */
  readonly parent: string;
}

function isActive(step: ImageStep): step is ActiveStep {
  return step.do !== 'env' && step.do !== 'copy';
}

function whatOf({ base, steps }: ImageRecipe, index: number): string {
  return index === 0 ? describeBase(base) : describeStep(steps[index - 1] as ImageStep);
}

function eventOf(recipe: ImageRecipe, index: number, cached: boolean) {
  return { type: 'step', step: index, of: recipe.steps.length, what: whatOf(recipe, index), cached } as const;
}

/** What went wrong, with the step in which it did. */
function named(e: unknown, { recipe, index }: Stage): unknown {
  if (!isHoldfastError(e)) return e;
  const what = whatOf(recipe, index);
  const where = index === 0 ? `the base, ${what}` : `step ${index} of ${recipe.steps.length}, ${what}`;
  const details = { ...e.details, step: index, steps: recipe.steps.length, what };
  return new HoldfastError(e.code, `an image cannot be built: ${where}: ${e.message}`, {
    outcome: e.outcome,
    details,
    cause: e,
  });
}
