/** Type tests of sandboxes, in the compiler of this project and in TypeScript 5.9. Nothing here runs. */
import {
  App,
  type Bytes,
  type ClientChoice,
  type CloseResult,
  type ExecOptions,
  type FileStat,
  type Forwarding,
  Image,
  type InstanceInfo,
  type NetworkPolicy,
  Sandbox,
  type SandboxExecResult,
  type SandboxHandle,
  type SandboxInfo,
  type SandboxOptions,
  type SandboxProcess,
  type SandboxSession,
  type SandboxSessionInfo,
  type SandboxStreamEvent,
  type SessionOptions,
  type SpawnOptions,
  Volume,
} from 'holdfast';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function check<_T extends true>(): void {
  // Its type argument is the check.
}

const app = new App('types', { entry: import.meta.url });
export const shell = app.sandbox({ name: 'shell', cpu: 2, diskGb: 5, tasksPerContainer: 4, isolation: 'gvisor' });
export const plain: Sandbox = app.sandbox();
export const notASandbox = 1;

export function declarations(choice: ClientChoice): void {
  // @ts-expect-error no such option
  app.sandbox({ memory: 5 });
  // @ts-expect-error no image
  app.sandbox({ image: {} });
  app.sandbox({ image: Image.fromId('') });
  app.cls({ image: Image.fromId('') });
  const debian: Image = Image.debianSlim({ pythonVersion: '3.11', nodeVersion: '18' });
  const built: Image = debian
    .aptInstall('git', 'curl')
    .pipInstall('torch')
    .npmInstall('zod')
    .run('make', 'make install')
    .env({ STAGE: 'test' })
    .workdir('/srv')
    .copyLocal('data', '/srv/data');
  app.sandbox({ name: 'built', image: built });
  app.sandbox({ name: 'oci', image: Image.fromOci('oci:folder:tag') });
  // @ts-expect-error one folder to one place
  debian.copyLocal('data');
  // @ts-expect-error no such option
  Image.debianSlim({ goVersion: '1' });
  // @ts-expect-error made by a snapshot, or known by its id
  new Image('');
  const options: SandboxOptions = { onLoss: 'recreate', maxPendingTasks: 0 };
  const byName: Promise<Sandbox> = Sandbox.fromName('app', 'shell', choice);
  // @ts-expect-error made by app.sandbox
  new Sandbox({});
  void [options, byName];
}

export async function lookup(): Promise<void> {
  const remote = await App.lookup<typeof import('./sandbox-surface.js')>('types');
  check<Equal<(typeof remote)['shell'], Sandbox>>();
  const other: Sandbox = remote.sandbox('other');
  // @ts-expect-error only classes and sandboxes of the module are there
  void remote.notASandbox;
  void other;
}

export async function sessions(): Promise<void> {
  const network: NetworkPolicy = { outbound: ['example.com', '10.0.0.0/8'] };
  const options: SessionOptions = { cwd: '/job', env: { A: 1 }, network, lifetimeMs: 5, tags: ['a'] };
  await using session = await shell.create(options);
  const named: SandboxSession = await shell.named('x');
  const local: SandboxSession = await shell.local();
  const handle: SandboxHandle = session.handle;
  const attached: SandboxSession = await shell.attach(session.handleJson);
  const closed: CloseResult = await shell.closeHandle(handle, { force: true });
  await shell.closeNamed('x', options);
  const info: SandboxInfo = await shell.inspect();
  for await (const each of shell.list({ limit: 3, tags: ['a'] })) check<Equal<typeof each, SandboxSessionInfo>>();
  const described: SandboxSessionInfo & InstanceInfo = await named.inspect();
  // @ts-expect-error one of three
  await shell.create({ network: { outbound: 'some' } });
  await shell.create({ volumes: { '/data': Volume.cloud('data') } });
  await shell.create({ volumes: [Volume.cloud('data', { mountPath: '/data' })] });
  // @ts-expect-error a path is no volume
  await shell.create({ volumes: ['/data'] });
  void [local, attached, closed, info, described.processes[0]?.startedAt.getTime()];
}

export async function commands(session: SandboxSession): Promise<void> {
  const options: ExecOptions = { shell: true, timeoutMs: 5, check: true, stdin: new Uint8Array(1) };
  const result: SandboxExecResult = await session.exec('ls', options);
  await session.exec(['ls', '-l']);
  for await (const event of session.execStream('ls')) {
    check<Equal<typeof event, SandboxStreamEvent>>();
    if (event.type === 'stdout') void [event.data, event.bytes, event.offset];
    // @ts-expect-error output has no code
    if (event.type === 'stderr') void event.exitCode;
  }
  const spawning: SpawnOptions = { pty: { cols: 80, rows: 24 } };
  const child: SandboxProcess = await session.spawn('top', spawning);
  // @ts-expect-error only a process that is spawned has a terminal
  await session.exec('top', { pty: { cols: 80, rows: 24 } });
  const again: SandboxProcess = await session.process(child.pid);
  for await (const event of again.output({ fromOffset: 5 })) void event.type;
  await child.write('q');
  await child.closeStdin();
  await child.resize(80, 24);
  await child.kill('SIGTERM');
  // @ts-expect-error no such signal
  await child.kill('SIGNOPE');
  const ended: SandboxExecResult = await child.wait();
  void [result.truncated, ended];
}

export async function files(session: SandboxSession, bytes: Bytes): Promise<void> {
  const text: string = await session.readText('a', { encoding: 'latin1' });
  const path: string = await session.writeText('a', 'b', { append: true, makeParents: true });
  const content: Uint8Array = await session.readBytes('a');
  await session.writeBytes('a', bytes);
  const stat: FileStat = await session.stat('a');
  const names: string[] = await session.listdir();
  const there: boolean = await session.exists();
  await session.mkdir('a/b', { parents: false, existOk: false });
  await session.uploadFile('a', 'b', { onProgress: (moved: number) => void moved });
  await session.downloadFile('a', 'b', { makeParents: true });
  await session.remove('a', { recursive: true, missingOk: true });
  await session.rename('a', 'b');
  const reading: ReadableStream<Uint8Array> = session.readStream('a');
  const writing: WritableStream<Uint8Array> = session.writeStream('a', { makeParents: true });
  for await (const { type, path: changed } of session.watch('.', { recursive: true })) void [type, changed];
  const forwarding: Forwarding = await session.forward(80, { localPort: 8080 });
  const env: Record<string, string> = await session.updateEnv({ A: 1 });
  await session.unsetEnv('A', 'B');
  // @ts-expect-error no such encoding
  await session.readText('a', { encoding: 'utf-9' });
  void [text, path, content, stat.modifiedAt, names, there, reading, writing, forwarding, env];
}
