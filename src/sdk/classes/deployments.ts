import { LRUCache } from 'lru-cache';
import { HoldfastError } from '../../common/errors.js';
import { type AppManifest, type ClassManifest, type DeclaredKind, declaredKindOf } from '../../common/manifest.js';
import { expected } from '../../common/option-checks.js';
import type { Deployment as WireDeployment } from '../../wire/gen/holdfast/v1/router.js';
import type { Limits } from '../calls/call-limits.js';

/** A published version of an app, as clients need it. */
export interface KnownDeployment {
  readonly app: string;
  readonly version: number;
  readonly bundleSha256: string;
  readonly createdAtMs: number;
  readonly manifest: AppManifest;
}

const keptDeployments = 256;
const shownCharacters = 100;

/** Deployments as the router tells them. A version never changes, so each is asked for once; the current one always. */
export class Deployments {
  readonly #lookUp: (app: string, version: number, limits?: Limits) => Promise<WireDeployment>;
  readonly #known = new LRUCache<string, Promise<KnownDeployment>>({ max: keptDeployments });

  /** @param lookUp version 0: the current one */
  constructor(lookUp: (app: string, version: number, limits?: Limits) => Promise<WireDeployment>) {
    this.#lookUp = lookUp;
  }

  /** @throws InvalidArgument, NotFound, Unavailable */
  async current(app: string, limits?: Limits): Promise<KnownDeployment> {
    const wanted = expected.appName(app);
    if (wanted !== null) {
      const got = typeof app === 'string' ? JSON.stringify(app.slice(0, shownCharacters)) : typeof app;
      throw new HoldfastError('InvalidArgument', `the name of an app must be ${wanted}, got ${got}`);
    }
    const deployment = readDeployment(await this.#lookUp(app, 0, limits));
    this.#known.set(`${app}@${deployment.version}`, Promise.resolve(deployment));
    return deployment;
  }

  /** Shared by all who ask, so that nobody's limits are those of others. @throws NotFound, Unavailable */
  version(app: string, version: number): Promise<KnownDeployment> {
    const key = `${app}@${version}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const asked = this.#lookUp(app, version).then(readDeployment);
    this.#known.set(key, asked);
    // A failed answer is not kept; who waits for it gets it all the same.
    asked.catch(() => this.#known.delete(key));
    return asked;
  }
}

export function readDeployment(wire: WireDeployment): KnownDeployment {
  const { app, version, bundleSha256, createdAtMs } = wire;
  return { app, version, bundleSha256, createdAtMs, manifest: JSON.parse(wire.manifestJson) as AppManifest };
}

/** @throws NotFound naming the classes that there are */
export function classOf(deployment: KnownDeployment, className: string): ClassManifest {
  return resourceOf(deployment, 'class', className);
}

/** @throws NotFound naming those of its kind that there are */
export function resourceOf(
  { app, version, manifest }: KnownDeployment,
  kind: DeclaredKind,
  name: string,
): ClassManifest {
  const found = Object.hasOwn(manifest.classes, name) ? manifest.classes[name] : undefined;
  if (found !== undefined && declaredKindOf(found) === kind) return found;
  const known = Object.values(manifest.classes).filter((each) => declaredKindOf(each) === kind);
  const other = found === undefined ? '' : ` (it is a ${declaredKindOf(found)})`;
  throw new HoldfastError(
    'NotFound',
    `app '${app}' has no ${kind} '${name}' in its deployment ${version}${other}; it has: ${
      known.map((each) => each.name).join(', ') || 'none'
    }`,
    { details: { app, className: name, deployment: version } },
  );
}
