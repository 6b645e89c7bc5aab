/** Type tests of the limits of calls, and of types that options are made of, in the compiler of this project and in TypeScript 5.9. Nothing here runs. */
import {
  App,
  type BatchOptions,
  type CallLimits,
  type ClientChoice,
  Cls,
  type ImageReference,
  type Isolation,
  type Mountable,
  NetworkFileSystem,
  type OnLoss,
  type ResourceOptions,
  type SandboxSession,
  Secret,
  type SecretReference,
  type SessionOptions,
  type StorageMount,
  Volume,
  type VolumesOption,
} from 'holdfast';

export async function limits(client: ClientChoice['client'] & object, session: SandboxSession): Promise<void> {
  const given: CallLimits = { signal: AbortSignal.timeout(5), timeoutMs: 5_000 };
  const none: CallLimits = { signal: undefined, timeoutMs: undefined };
  const options: SessionOptions & CallLimits = { cwd: '/job', ...given };
  const shell = new App('limits').sandbox();
  await shell.create(options);
  await shell.named('a', { timeoutMs: 5 });
  await shell.attach(session.handle, none);
  for await (const each of shell.list({ limit: 5, ...given })) void each.id;
  await Cls.fromName('a', 'B', { client, ...given });
  const quick: Cls = (await Cls.fromName('a', 'B', { client })).with(given);
  await quick.named('x');
  await session.readText('a', { encoding: 'utf8', timeoutMs: 5 });
  await session.pwd(given);
  await Secret.set('S', 'x', { client, timeoutMs: 5 });
  await Volume.cloud('v').writeFile('a', 'b', given);
  const { deleted }: { readonly deleted: boolean } = await NetworkFileSystem.fromName('n').delete({ client });
  // @ts-expect-error milliseconds are a number
  await shell.create({ timeoutMs: '5 s' });
  // @ts-expect-error nothing is asked when one is named
  Volume.fromName('v', { timeoutMs: 5 });
  void deleted;
}

export function made(mount: StorageMount, isolation: Isolation, onLoss: OnLoss): ResourceOptions {
  const one: Mountable = mount;
  const volumes: VolumesOption = { '/data': one };
  const secrets: readonly SecretReference[] = [Secret.fromName('S')];
  const image: ImageReference | undefined = undefined;
  const batch: BatchOptions = { maxSize: 5, waitMs: 1 };
  void [batch, image];
  return { volumes, secrets, isolation, onLoss };
}
