import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { type ImageContent, type ImageSettings, noSettings } from '../../common/image.js';
import type { ImageStore } from '../../common/images/image-store.js';
import type { IsolationBackend, LayerTool, Scratch } from '../../common/ports/sandbox.js';
import { ImageUses } from './image-uses.js';
import { type HeldLayers, LayerCache } from './layer-cache.js';

export interface ImagesOptions {
  readonly backend: IsolationBackend;
  readonly store: ImageStore;
  /** For unpacked layers; it goes with the boot. */
  readonly folder: string;
  readonly maxBytes: number;
  readonly clock: Clock;
}

/** Where a session starts from. */
export interface ImageStart {
  readonly id: string;
  /** To have it on this host. */
  readonly withinMs: number;
}

/** Each is a mount below every session of the image. */
const mostLayers = 32;

/** Makes images of what sandboxes wrote, and file systems that stand on them. */
export class Images {
  readonly #options: ImagesOptions;
  readonly #cache: LayerCache;
  readonly #uses: ImageUses;
  readonly #contents = new WeakMap<Scratch, ImageContent>();
  /** One after the other: each takes as much disk as its sandbox has written. */
  readonly #underway = new WeakMap<Scratch, Promise<unknown>>();
  readonly #tools = new Set<LayerTool>();

  constructor(options: ImagesOptions) {
    this.#options = options;
    this.#cache = new LayerCache(options);
    this.#uses = new ImageUses(options);
  }

  /**
   * @param on.backend of what runs in it; default: its own
   * @throws NotFound where the account has no such image, NoCapacity, ActivationFailed where it takes too long, Unavailable
   */
  async createScratch(
    id: string,
    on: { readonly diskGb: number; readonly image: ImageStart | null; readonly backend?: IsolationBackend },
  ): Promise<Scratch> {
    const { store } = this.#options;
    const { diskGb, image, backend = this.#options.backend } = on;
    if (image === null) return await backend.createScratch({ id, root: { kind: 'host' }, diskGb });
    const content = await store.image(image.id);
    const { folders, release: letGo } = await this.#hold(image, content.layers);
    const unused = this.#uses.add(image.id);
    const release = (): void => {
      unused();
      letGo();
    };
    try {
      const kind = content.base === 'host' ? 'host' : 'image';
      const root = { kind, layers: folders } as const;
      const scratch = await backend.createScratch({ id, root, diskGb, onRemoved: release });
      this.#contents.set(scratch, content);
      return scratch;
    } catch (e) {
      release();
      throw e;
    }
  }

  /** Of the image that a scratch stands on. */
  settingsOf(scratch: Scratch): ImageSettings {
    return this.#contents.get(scratch) ?? noSettings;
  }

  /**
   * The files of a sandbox at one moment, as an image; a process that uses them stands still while they are copied.
   *
   * @returns its id @throws NoCapacity where a disk is full, Unavailable, the signal's reason
   */
  snapshot(scratch: Scratch, signal: AbortSignal): Promise<string> {
    const before = this.#underway.get(scratch) ?? Promise.resolve();
    const { writers } = this.#options.store;
    const taking = before.then(() => writers.run(() => this.#snapshot(scratch, signal)));
    this.#underway.set(
      scratch,
      taking.catch(() => undefined), // told to its own caller
    );
    return taking;
  }

  /** Gives up what is under way. */
  async close(): Promise<void> {
    for (const tool of this.#tools) tool.kill();
    this.#uses.close();
    await this.#cache.close();
  }

  async #snapshot(scratch: Scratch, signal: AbortSignal): Promise<string> {
    const { store } = this.#options;
    const content = this.#contents.get(scratch) ?? contentBelow(scratch);
    const below = content.layers;
    const top = below.length < mostLayers ? await this.#pack(scratch, 'layer', signal) : null;
    // The same changes twice are the same as once.
    if (top !== null && top === below[0]) return await store.putImage(content);
    // An overlay takes no folder twice.
    if (top !== null && !below.includes(top)) return await store.putImage({ ...content, layers: [top, ...below] });
    return await store.putImage({ ...content, layers: [await this.#pack(scratch, 'flat', signal)] });
  }

  /** @returns the layer's hash */
  async #pack(scratch: Scratch, what: 'layer' | 'flat', signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const tool = await this.#options.backend.pack(scratch, what).catch((e: unknown) => {
      signal.throwIfAborted();
      throw e;
    });
    const kill = (): void => tool.kill();
    this.#tools.add(tool);
    signal.addEventListener('abort', kill, { once: true });
    if (signal.aborted) kill();
    try {
      const layer = await this.#options.store.putLayer(tool.output as AsyncIterable<Uint8Array>);
      // Only now is it known that the tar was all of it.
      await tool.done;
      return layer;
    } catch (e) {
      tool.kill();
      await tool.done.catch(() => undefined); // the first error says more
      signal.throwIfAborted();
      throw e;
    } finally {
      signal.removeEventListener('abort', kill);
      this.#tools.delete(tool);
    }
  }

  /** Fetching goes on for others where this one stops waiting. */
  async #hold({ id, withinMs }: ImageStart, layers: readonly string[]): Promise<HeldLayers> {
    const holding = this.#cache.hold(layers);
    const enough = new AbortController();
    const late = this.#options.clock.sleep(withinMs, enough.signal).then(
      () => null,
      () => null,
    );
    const held = await Promise.race([holding, late]).finally(() => enough.abort());
    if (held !== null) return held;
    holding.then(({ release }) => release()).catch(() => undefined); // nobody waits for it any more
    throw new HoldfastError(
      'ActivationFailed',
      `image ${id.slice(0, 12)} was not on this host within startupTimeoutMs of ${withinMs}; raise it`,
      { details: { startupTimeoutMs: withinMs } },
    );
  }
}

/** Of one that stands on no image: what a bare one holds is a whole root file system. */
function contentBelow({ root }: Scratch): ImageContent {
  return { ...noSettings, base: root.kind === 'bare' ? 'none' : 'host', layers: [] };
}
