import { HoldfastError } from '../../common/errors.js';
import type { ClassManifest, DeclaredKind } from '../../common/manifest.js';
import { encodeArgs, hashArgs } from '../../wire/codec/codec.js';
import { type InstanceView, ListInstancesReply, ListInstancesRequest } from '../../wire/gen/holdfast/v1/router.js';
import { arityProblem, withoutTrailingUndefined, wrongArguments } from '../calls/arguments.js';
import type { Limits } from '../calls/call-limits.js';
import { checkInstanceId } from '../calls/call-options.js';
import type { InstanceTarget } from '../calls/instance-target.js';
import { chooseClient } from '../client-choice.js';
import type { ClientChoice } from '../infos.js';
import type { ClientCore } from '../sessions/client-core.js';
import { type KnownDeployment, resourceOf } from './deployments.js';

/** What this program declared itself. */
export interface Declared {
  readonly manifest: ClassManifest;
}

/** Where a class, function or sandbox is known from: this program's declaration, a deployment, or both. */
export interface ClassOrigin<Local extends Declared = Declared> {
  readonly kind: DeclaredKind;
  readonly appName: string;
  readonly name: string;
  readonly local: Local | null;
  readonly deployment: KnownDeployment | null;
  /** Chosen when it is first needed: a class can be described without a cluster. */
  readonly choice: ClientChoice | ClientCore;
}

const pageSize = 500;

/** What `Cls`, `BoundCls` and `Sandbox` do against the cluster. */
export class ClassSource<Local extends Declared = Declared> {
  readonly origin: ClassOrigin<Local>;
  #deployment: KnownDeployment | null;
  #client: ClientCore | null = null;

  constructor(origin: ClassOrigin<Local>) {
    this.origin = origin;
    this.#deployment = origin.deployment;
  }

  get client(): ClientCore {
    const { choice } = this.origin;
    this.#client ??= isCore(choice) ? choice : chooseClient(choice);
    return this.#client;
  }

  get manifest(): ClassManifest {
    const { kind, local, name } = this.origin;
    if (this.#deployment !== null) return resourceOf(this.#deployment, kind, name);
    if (local === null) throw new HoldfastError('Internal', `${kind} '${name}' is known from nowhere`);
    return local.manifest;
  }

  /** The current deployment, asked for now. @throws NotFound, Unavailable */
  async refresh(limits?: Limits): Promise<{ readonly deployment: KnownDeployment; readonly manifest: ClassManifest }> {
    const deployment = await this.client.deployments.current(this.origin.appName, limits);
    const manifest = resourceOf(deployment, this.origin.kind, this.origin.name);
    if (this.origin.local === null) this.#deployment = deployment;
    return { deployment, manifest };
  }

  /** @param id empty: a fresh one; null: the one of these arguments (`bind`) */
  async create(
    id: string | null,
    given: readonly unknown[],
    { tags = [], limits }: { readonly tags?: readonly string[]; readonly limits?: Limits | undefined } = {},
  ): Promise<InstanceTarget> {
    const args = withoutTrailingUndefined(given);
    const joins = id !== null && id !== '' && args.length === 0;
    if (id !== null && id !== '') checkInstanceId(id);
    if (!joins) await this.#checkArity(args, limits);
    const encoded = encodeArgs(args);
    const value = {
      app: this.origin.appName,
      className: this.origin.name,
      id: id ?? `bind-${hashArgs(encoded)}`,
      sharedByArgs: id === null,
      ...(tags.length === 0 ? {} : { session: { tags: [...tags] } }),
      ...(joins ? {} : { args: Buffer.from(encoded) }),
    };
    return await this.client.place({ $case: 'create', value }, limits);
  }

  /** What is made of a fresh one; where that fails it is closed in the background, as nobody else knows its id. */
  async orClosed<T>({ placement: { handle } }: InstanceTarget, made: Promise<T>): Promise<T> {
    try {
      return await made;
    } catch (e) {
      const value = { target: { $case: 'handle', value: handle } as const, force: true };
      void this.client.close({ $case: 'close', value }).catch(() => undefined); // out of reach: it stays
      throw e;
    }
  }

  /** Live instances, oldest first. */
  async *list(limit: number, limits?: Limits): AsyncGenerator<InstanceView, void, undefined> {
    const { appName: app, name: className } = this.origin;
    let after = '';
    for (let left = limit; left > 0; ) {
      const request = { app, className, limit: Math.min(left, pageSize), after };
      const question = { request, of: ListInstancesRequest, reply: ListInstancesReply };
      const page = await this.client.ask('ListInstances', question, limits);
      yield* page.instances.slice(0, left);
      left -= page.instances.length;
      after = page.next;
      if (after === '') return;
    }
  }

  /**
   * What is known here may be older than what is deployed, and source text does not say that a TypeScript parameter is
   * optional (the deployed manifest does): a refusal is checked against the current deployment first.
   */
  async #checkArity(args: readonly unknown[], limits: Limits | undefined): Promise<void> {
    if (arityProblem(this.manifest.parameters, args) === null) return;
    const { manifest } = await this.refresh(limits);
    const problem = arityProblem(manifest.parameters, args);
    if (problem !== null) throw wrongArguments(this.origin.name, problem);
  }
}

function isCore(choice: ClientChoice | ClientCore): choice is ClientCore {
  return 'transport' in choice;
}
