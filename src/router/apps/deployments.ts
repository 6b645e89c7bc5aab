import { LRUCache } from 'lru-cache';
import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ClassIdentity } from '../../common/ids.js';
import type { ClassManifest, DeploymentRecord } from '../../common/manifest.js';
import type { AppStore } from '../../common/ports/store.js';

/** Another router's deploy is seen after this long at the latest; this router's at once. */
const currentForMs = 1_000;
/** What is asked for when it is older is asked of the store again, beside the way of whoever asked: */
const renewedFromMs = 400;
/** this much later, when that one has been served. */
const renewAfterMs = 20;
const maxApps = 10_000;
const maxVersions = 1_000;

/** The code that an instance runs on. */
export interface DeployedClass {
  readonly deployment: DeploymentRecord;
  readonly manifest: ClassManifest;
  /** `app/class@deployment`: how workers name the containers that can hold it. */
  readonly label: string;
}

interface Current {
  readonly at: Monotonic;
  readonly record: Promise<DeploymentRecord | null>;
  isRenewed: boolean;
}

/**
 * What is deployed. A version never changes once it is published; which one is current is asked for again each second, and before
 * that where it is asked for often, so that no instance waits for it.
 */
export class Deployments {
  readonly #store: AppStore;
  readonly #clock: Clock;
  readonly #current = new LRUCache<string, Current>({ max: maxApps });
  readonly #versions = new LRUCache<string, DeploymentRecord>({ max: maxVersions });

  constructor(options: { store: AppStore; clock: Clock }) {
    this.#store = options.store;
    this.#clock = options.clock;
  }

  /** The class that a new activation of one of its instances runs. @param pinned what that ran on last @throws NotFound naming what exists */
  async forActivation(identity: ClassIdentity, pinned: number | null): Promise<DeployedClass> {
    const { account, app, className } = identity;
    const known = await this.current(account, app);
    const found = classOf(known, className);
    if (found !== null) return found;
    // Deployed a moment ago through another router, perhaps.
    const fresh = await this.#refresh(account, app);
    const deployed = classOf(fresh, className);
    if (deployed !== null) return deployed;
    // The class is gone from the app, but this instance was made before that.
    const old = pinned === null ? null : classOf(await this.#version(account, app, pinned), className);
    if (old !== null) return old;
    throw fresh === null ? await this.#appNotFound(account, app) : classNotFound(fresh, className);
  }

  /** @param version 0: the current one. @throws NotFound */
  async lookup(account: string, app: string, version: number): Promise<DeploymentRecord> {
    const record = version === 0 ? await this.#refresh(account, app) : await this.#version(account, app, version);
    if (record !== null) return record;
    if (version === 0) throw await this.#appNotFound(account, app);
    throw new HoldfastError(
      'NotFound',
      `app ${app} has no deployment ${version}; \`holdfast apps\` lists the current ones`,
      {
        details: { app, version },
      },
    );
  }

  /** Null where the app is not there, as far as this router knows. */
  current(account: string, app: string): Promise<DeploymentRecord | null> {
    const known = this.#current.get(`${account}/${app}`);
    const ageMs = known === undefined ? Infinity : this.#clock.monotonic() - known.at;
    if (known === undefined || ageMs > currentForMs) return this.#refresh(account, app);
    if (ageMs > renewedFromMs && !known.isRenewed) {
      known.isRenewed = true;
      this.#clock.after(renewAfterMs, () => this.#renew(account, app, known));
    }
    return known.record;
  }

  async publish(deployment: Omit<DeploymentRecord, 'version'>): Promise<DeploymentRecord> {
    const record = await this.#store.publish(deployment);
    this.#current.delete(`${deployment.account}/${deployment.app}`);
    return record;
  }

  list(account: string): Promise<DeploymentRecord[]> {
    return this.#store.list(account);
  }

  #refresh(account: string, app: string): Promise<DeploymentRecord | null> {
    const key = `${account}/${app}`;
    const entry: Current = { at: this.#clock.monotonic(), record: this.#store.get(account, app), isRenewed: false };
    this.#current.set(key, entry);
    const forget = () => {
      if (this.#current.peek(key) === entry) this.#current.delete(key);
    };
    // What is not there may be deployed at any moment, through any router.
    entry.record.then((record) => record ?? forget(), forget);
    return entry.record;
  }

  /** In its place, where nobody has asked or published since. Where it fails the next one who asks waits for it. */
  #renew(account: string, app: string, known: Current): void {
    const key = `${account}/${app}`;
    const at = this.#clock.monotonic();
    this.#store.get(account, app).then(
      (record) => {
        if (record === null || this.#current.peek(key) !== known) return;
        this.#current.set(key, { at, record: Promise.resolve(record), isRenewed: false });
      },
      () => undefined, // as said above
    );
  }

  async #version(account: string, app: string, version: number): Promise<DeploymentRecord | null> {
    const key = `${account}/${app}@${version}`;
    const known = this.#versions.get(key);
    if (known !== undefined) return known;
    const record = await this.#store.get(account, app, version);
    if (record !== null) this.#versions.set(key, record);
    return record;
  }

  async #appNotFound(account: string, app: string): Promise<HoldfastError> {
    const apps = (await this.#store.list(account)).map((record) => record.app);
    return new HoldfastError(
      'NotFound',
      `app ${app} is not deployed in account ${account} (deployed: ${someOf(apps)}); deploy it with \`holdfast deploy\``,
      { details: { app, deployed: apps.slice(0, listed) } },
    );
  }
}

function classOf(deployment: DeploymentRecord | null, className: string): DeployedClass | null {
  if (deployment === null || !Object.hasOwn(deployment.manifest.classes, className)) return null;
  const manifest = deployment.manifest.classes[className];
  if (manifest === undefined) return null;
  return { deployment, manifest, label: `${deployment.app}/${className}@${deployment.version}` };
}

function classNotFound({ app, version, manifest }: DeploymentRecord, className: string): HoldfastError {
  const classes = Object.keys(manifest.classes);
  return new HoldfastError(
    'NotFound',
    `class ${className} is not in deployment ${version} of app ${app} (classes: ${someOf(classes)}); ` +
      'decorate it with `@app.cls()` and deploy again with `holdfast deploy`',
    { details: { app, deployment: version, className, classes: classes.slice(0, listed) } },
  );
}

const listed = 20;

function someOf(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  const more = names.length - listed;
  return names.slice(0, listed).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
