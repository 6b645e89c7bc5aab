import { inspect } from 'node:util';
import { HoldfastError } from '../../common/errors.js';
import { checkedImageId, type ImageReference } from '../../common/image.js';
import {
  checkedBase,
  checkedStep,
  describeBase,
  type ImageBase,
  type ImageRecipe,
  type ImageStep,
} from '../../common/image-recipe.js';
import { debianBase } from './debian-base.js';

// Only its own methods make one.
let onBase: (base: ImageBase) => Image;

/**
 * Files that classes and sandboxes start with: what `session.snapshot()` took, or what a deploy builds of a base and steps. Each
 * method gives another image; the same steps on the same base are built once for the whole account.
 */
export class Image implements ImageReference {
  readonly #recipe: ImageRecipe;

  private constructor(recipe: ImageRecipe) {
    this.#recipe = recipe;
  }

  /** One that was made before, in this account. Nothing is looked up before a session starts. @throws InvalidArgument */
  static fromId(id: string): Image {
    return onBase({ from: 'image', id: checkedImageId(id) });
  }

  /** The programs of the worker's own host, as sandboxes without an image have them, to be added to. */
  static host(): Image {
    return onBase({ from: 'host' });
  }

  /**
   * A minimal Debian root file system, made with mmdebstrap and cached by content. The versions choose the release: Python 3.11
   * and Node 18 are those of bookworm, which is the default, 3.13 and 20 those of trixie.
   *
   * @throws InvalidArgument naming the versions that there are
   */
  static debianSlim(options: { readonly pythonVersion?: string; readonly nodeVersion?: string } = {}): Image {
    return onBase(debianBase(options));
  }

  /**
   * An image by its OCI reference (`node:20-slim`, `registry:5000/team/image@sha256:…`), or of a layout in a folder
   * of the machine that deploys (`oci:path:tag`). Each deploy looks up what a tag is by then. A registry that wants a login
   * gets what `docker login` has left on that machine.
   */
  static fromOci(reference: string): Image {
    return onBase(checkedBase({ from: 'oci', reference }));
  }

  /** The same files in the same layers have the same one. @throws InvalidArgument for one that is still to be built */
  get id(): string {
    const { base, steps } = this.#recipe;
    if (base.from === 'image' && steps.length === 0) return base.id;
    throw new HoldfastError('InvalidArgument', `${inspect(this)} has no id: it is built when its app is deployed`);
  }

  /** How it is made. */
  get recipe(): ImageRecipe {
    return this.#recipe;
  }

  /** Packages of Debian, without those that they only recommend; or files of packages, by absolute path. */
  aptInstall(...packages: string[]): Image {
    return this.#with({ do: 'apt', packages });
  }

  /** As `pip install` takes them, options included: `pipInstall('--no-index', '--find-links=/wheels', 'torch')`. */
  pipInstall(...packages: string[]): Image {
    return this.#with({ do: 'pip', packages });
  }

  /** As `npm install --global` takes them; `require` finds them, and the path their programs. */
  npmInstall(...packages: string[]): Image {
    return this.#with({ do: 'npm', packages });
  }

  /** Each by `/bin/sh -c`, as root, with a way out to the network; an exit code that is not 0 fails the build. */
  run(...commands: string[]): Image {
    return commands.reduce((image, command) => image.#with({ do: 'run', command }), this as Image);
  }

  /** Variables of later steps, and of everything that runs in it. Not for secrets: who can see the image can read them. */
  env(values: Readonly<Record<string, string>>): Image {
    return this.#with({ do: 'env', values });
  }

  /** Where later steps and everything that runs in it start; made where it is missing. Absolute. */
  workdir(path: string): Image {
    return this.#with({ do: 'workdir', path });
  }

  /**
   * A file or a folder of the machine that deploys. A relative path starts at the folder of the module that is deployed, or for
   * `local()` at the working directory. A file becomes `remotePath`, or with a `/` at its end comes into that folder.
   */
  copyLocal(localPath: string, remotePath: string): Image {
    return this.#with({ do: 'copy', from: localPath, to: remotePath });
  }

  #with(step: ImageStep): Image {
    const { base, steps } = this.#recipe;
    return new Image({ base, steps: [...steps, checkedStep(step, `step ${steps.length + 1}, ${step.do},`)] });
  }

  [inspect.custom](): string {
    const { base, steps } = this.#recipe;
    if (base.from === 'image' && steps.length === 0) return `Image ${base.id}`;
    return `Image of ${describeBase(base)} and ${steps.length} steps`;
  }

  static {
    onBase = (base) => new Image({ base, steps: [] });
  }
}
