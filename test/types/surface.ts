/** Type tests: what users see, in the compiler of this project and in TypeScript 5.9. Nothing here runs. */
import {
  type AlarmCall,
  App,
  alarm,
  type BoundCls,
  type CallOptions,
  type Class,
  type ClassInfo,
  type ClassInstance,
  type ClassInstanceHandle,
  Client,
  type ClientChoice,
  type CloseResult,
  Cls,
  type ClsOptions,
  currentContext,
  type Deployment,
  type DeployOptions,
  type ErrorCode,
  type ExitReason,
  type Explanation,
  enter,
  exit,
  FunctionCall,
  type HandleInput,
  HoldfastError,
  type InstanceControls,
  type InstanceInfo,
  type InstanceStorage,
  isHoldfastError,
  type LocalClassInstance,
  type Logger,
  type MethodInfo,
  type MethodOptions,
  method,
  type OfferFilters,
  type ParameterInfo,
  type PlacementOptions,
  type PoolInfo,
  type RemoteApp,
  type RemoteGenerator,
  type RemoteMethod,
  type ResourceOptions,
  type Retries,
  Secret,
  type StorageBatch,
  type StorageListOptions,
  type WorkerInfo,
} from 'holdfast';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function check<_T extends true>(): void {
  // Its type argument is the check.
}

const app = new App('types', { entry: import.meta.url, tags: ['a'], metadata: { any: [1, null] } });

@app.cls({
  secrets: [Secret.fromName('HF_TOKEN', { requiredKeys: ['HF_TOKEN'] })],
  cpu: 0.5,
  gpu: ['a100', 'h100'],
  retries: { maxRetries: 3 },
  offerFilters: { price: { max: 2 } },
})
export class Model {
  readonly #calls: string[] = [];
  readonly notMethod = 1;

  constructor(_prefix: string, _scale = 1, _label?: string) {
    this.#calls.push('constructor');
  }

  @enter()
  protected async open(): Promise<void> {
    this.#calls.push('open');
  }

  @exit()
  protected close(reason: ExitReason): void {
    this.#calls.push(reason);
  }

  @alarm()
  protected async ring({ scheduledAt, attempt }: AlarmCall): Promise<void> {
    check<Equal<typeof scheduledAt, Date>>();
    this.#calls.push(`${attempt}`);
  }

  @method({ idempotent: true, tags: new Set(['x']) })
  infer(value: string, times?: number): string {
    return value.repeat(times ?? 1);
  }

  @method()
  async wait(): Promise<{ readonly done: boolean }> {
    return { done: true };
  }

  @method()
  async *tokens(count: number): AsyncGenerator<string, void, undefined> {
    yield String(count);
  }

  @method()
  *numbers(): Generator<number> {
    yield 1;
  }

  @method()
  list(): string[] {
    return [];
  }

  @method()
  never(): never {
    throw new Error('always');
  }

  @method()
  untyped(value: unknown): ReturnType<typeof JSON.parse> {
    return value;
  }

  /** A control of the same name hides it. */
  @method()
  inspect(): number {
    return 1;
  }
}

declare const cls: Cls<typeof Model>;

export async function classes(): Promise<void> {
  check<Equal<typeof cls, Cls<typeof Model>>>();
  const instance = await cls.named('id', 'prefix', 2);
  check<Equal<typeof instance, ClassInstance<typeof Model>>>();
  await cls.new('prefix');
  await cls.bind('prefix', 1, 'label');
  await cls.local('prefix');
  // @ts-expect-error the first argument is required
  await cls.new();
  // @ts-expect-error it is a string
  await cls.bind(5);
  // @ts-expect-error there are three at most
  await cls.named('id', 'prefix', 1, 'label', 'more');

  const bound = cls.partial('prefix');
  const sameBound: BoundCls<typeof Model, [_scale?: number, _label?: string]> = bound;
  await bound.named('id');
  await bound.new(2, 'label');
  const whole = bound.partial(2, 'label');
  await whole.bind();
  // @ts-expect-error nothing is left to give
  await whole.bind('more');
  // @ts-expect-error only a prefix can be given
  cls.partial(undefined, 2);

  const infos: Readonly<Record<string, MethodInfo>> = cls.methodInfos;
  const parameters: readonly ParameterInfo[] = cls.parameters;
  const info: ClassInfo = await cls.inspect();
  for await (const each of cls.list({ limit: 5 })) check<Equal<typeof each, InstanceInfo>>();
  const of: Cls<typeof Model> = Cls.of(Model);
  const anything: Cls = await Cls.fromName('app', 'Model', { client: new Client() });
  const handle: HandleInput = instance.handle;
  const attached: ClassInstance<typeof Model> = await Cls.fromHandle<typeof Model>(handle, { baseUrl: 'http://x:1' });
  void [sameBound, infos, parameters, info, of, anything, attached];
  // @ts-expect-error an undecorated value is no class
  Cls.of('Model');
}

export async function calls(instance: ClassInstance<typeof Model>): Promise<void> {
  check<Equal<typeof instance.infer, RemoteMethod<[value: string, times?: number], string>>>();
  check<Equal<typeof instance.wait, RemoteMethod<[], { readonly done: boolean }>>>();
  check<Equal<typeof instance.tokens, RemoteGenerator<[count: number], string>>>();
  check<Equal<typeof instance.numbers, RemoteGenerator<[], number>>>();
  check<Equal<typeof instance.list, RemoteMethod<[], string[]>>>();
  check<Equal<typeof instance.never, RemoteMethod<[], never>>>();
  const text: string = await instance.infer('x');
  const same: string = await instance.infer.remote('x', 2);
  const timed: string = await instance.infer.with({ timeoutMs: 5, signal: AbortSignal.abort() })('x');
  for await (const token of instance.tokens(3)) check<Equal<typeof token, string>>();
  for await (const token of instance.tokens.with({ timeoutMs: 5 }).remoteGen(3)) check<Equal<typeof token, string>>();
  const loose: { anything: number } = await instance.untyped(1);
  void [text, same, timed, loose];

  // @ts-expect-error a method's arguments are checked
  await instance.infer(5);
  // @ts-expect-error a generator has no `remote`
  instance.tokens.remote(3);
  // @ts-expect-error a method has no `remoteGen`
  instance.infer.remoteGen('x');
  // @ts-expect-error no such method
  instance.infre('x');
  // @ts-expect-error hooks are protected, so they are no methods
  instance.open();
  // @ts-expect-error fields are not visible from outside
  void instance.notMethod;
  // @ts-expect-error no such option
  instance.infer.with({ timeout: 5 });
  const spawned = await instance.infer.spawn('x');
  const again: typeof spawned = await FunctionCall.fromId(spawned.id);
  const fetched: Awaited<ReturnType<typeof instance.infer>> = await again.get({
    timeoutMs: 5,
    signal: AbortSignal.abort(),
  });
  const status: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'lost' = await again.status();
  const ended: 'never-ran' | 'aborted' | 'already-finished' = await again.cancel();
  void [fetched, status, ended, (await again.explain()).waitsFor];
  // @ts-expect-error the arguments are those of the method
  await instance.infer.spawn(1, 2, 3, 4);

  const description: InstanceInfo = await instance.inspect();
  const why: Explanation = await instance.explain();
  const pool: PoolInfo | undefined = why.pool;
  check<Equal<NonNullable<typeof pool>['containers'][number]['state'], 'starting' | 'ready' | 'leaving'>>();
  const closed: CloseResult = await instance.close({ force: true, timeoutMs: 5 });
  const hidden: RemoteMethod<unknown[], number> = instance.method('inspect');
  const local: LocalClassInstance<typeof Model> = instance;
  const controls: InstanceControls<typeof Model> = instance;
  void [description, why, closed, hidden, local, controls];
  // @ts-expect-error it is read only
  instance.id = 'other';
}

export async function apps(): Promise<void> {
  const remote = await App.lookup<typeof import('./surface.js')>('types');
  check<Equal<(typeof remote)['Model'], Cls<typeof Model>>>();
  const instance = await remote.Model.named('x', 'prefix');
  await instance.infer('x');
  const other: Cls = remote.cls('Other');
  const name: string = remote.appName;
  // @ts-expect-error only classes of the module are there
  void remote.calls;
  const deployment: Deployment = await app.deploy({ instances: 'restart', entry: new URL('file:///x') });
  const untyped: RemoteApp<Record<string, unknown>> = await App.lookup('types');
  void [other, name, deployment, untyped];
}

export function decorators(): void {
  // @ts-expect-error no such option
  app.cls({ memory: 5 });
  // @ts-expect-error no image
  app.cls({ image: {} });
  // @ts-expect-error one of three
  app.cls({ isolation: 'docker' });
  class Wrong {
    // @ts-expect-error an exit hook takes a reason
    @exit()
    protected close(reason: number): number {
      return reason;
    }

    // @ts-expect-error a field is no method
    @method()
    field = 1;
  }
  class WrongAlarm {
    // @ts-expect-error an alarm is called with an AlarmCall
    @alarm()
    protected ring(at: number): number {
      return at;
    }
  }
  void [Wrong, WrongAlarm];
}

export async function clients(error: unknown): Promise<void> {
  await using client = new Client({ endpoint: 'host:1', token: 't', tls: { ca: 'pem' } });
  const workers: WorkerInfo[] = await client.workers();
  const apps: { readonly name: string; readonly deployment: number }[] = await client.apps();
  const choice: ClientChoice = { client };
  const deploy: DeployOptions = { client, signal: AbortSignal.abort() };
  if (isHoldfastError(error, 'UserError')) {
    const code: ErrorCode = error.code;
    const outcome: 'not-run' | 'ran' | 'unknown' = error.outcome;
    void [code, outcome, error.details['x'], error.retryable, error.cause];
  }
  // @ts-expect-error no such code
  isHoldfastError(error, 'Nope');
  const context = currentContext();
  const log: Logger = context.log;
  log.info('message', { field: 1 });
  const attempt: number = context.attempt;
  const signal: AbortSignal = context.signal;
  const storage: InstanceStorage = context.storage;
  const count: number | undefined = await storage.get<number>('count');
  check<Equal<ReturnType<typeof storage.get>, Promise<unknown>>>();
  await storage.put('count', (count ?? 0) + 1);
  await storage.delete('count');
  const range: StorageListOptions = { prefix: 'a:', start: 'a:5', end: 'a:9', limit: 3, reverse: true };
  const listed: Map<string, Date> = await storage.list<Date>(range);
  const batch: StorageBatch = { put: { a: 1 }, delete: ['b'] };
  await storage.batch(batch);
  await storage.batch({ put: listed });
  await context.setAlarm(new Date());
  await context.setAlarm(5);
  const armedFor: Date | null = await context.getAlarm();
  await context.deleteAlarm();
  // @ts-expect-error a key is a string
  await storage.get(5);
  // @ts-expect-error it is read only
  context.storage = storage;
  // @ts-expect-error the chain is not for methods to see
  void context.chain;
  void [workers, apps, choice, deploy, attempt, armedFor, signal, HoldfastError];
}

export const handle: ClassInstanceHandle = {
  v: 1,
  kind: 'class',
  account: 'a',
  app: 'b',
  name: 'c',
  id: 'd',
  generation: 1,
  signature: 's',
};
export const options: ClsOptions & ResourceOptions & PlacementOptions = {
  gpuCount: 1,
  idleTimeoutMs: 5,
  onLoss: 'fail',
};
export const filters: OfferFilters = { a: 1, b: ['x', 2], c: { min: 1 }, d: true };
export const retries: Retries = { maxRetries: 1 };
export const methodOptions: MethodOptions = { concurrent: true };
export const callOptions: CallOptions = { idempotencyKey: 'k' };
const anyClass: Class = Model;
void anyClass;

async function _secrets(client: Client): Promise<void> {
  const made: Secret = await Secret.create('HF_TOKEN', 'value', { client });
  await Secret.set('database', { USER: 'u', PASSWORD: 'p' }, { baseUrl: 'localhost:7070' });
  check<Equal<Secret['createdAt'], Date | null>>();
  const all: Secret[] = await Secret.list({ client });
  const { deleted } = await (all[0] ?? made).delete({ client });
  check<Equal<typeof deleted, boolean>>();
  // @ts-expect-error made by its static methods alone
  new Secret('HF_TOKEN');
}
