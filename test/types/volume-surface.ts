/** Type tests of volumes, in the compiler of this project and in TypeScript 5.9. Nothing here runs. */
import {
  App,
  type Bytes,
  type Client,
  type FileStat,
  type StorageMount,
  Volume,
  type VolumeChange,
  type VolumeCommit,
  type VolumeCreateOptions,
} from 'holdfast';

export async function volumes(client: Client, bytes: Bytes, stream: AsyncIterable<Bytes>): Promise<void> {
  const options: VolumeCreateOptions = { client, sizeGb: 0.5 };
  const volume: Volume = Volume.fromName('data', { ...options, createIfMissing: true });
  const mount: StorageMount = volume;
  const made: Volume = await Volume.create('data', options);
  const got: Volume = await Volume.get('data', { client, mintIfMissing: true });
  const all: Volume[] = await Volume.list({ baseUrl: 'host:1' });
  const { deleted }: { readonly deleted: boolean } = await volume.delete({ client });
  const pieces: AsyncIterable<Uint8Array> = volume.readFile('a');
  for (const content of ['text', bytes, stream]) await volume.writeFile('a', content);
  const stats: FileStat[] = await volume.listdir('d', { recursive: true });
  await volume.removeFile('a', { recursive: true });
  await volume.copyFiles(['a', 'b'], 'd/');
  const commitId: string = await volume.batchUpload([{ local: 'a', remote: 'b' }], {
    onProgress: (done: number, total: number) => void (done / total),
  });
  const history: VolumeCommit[] = await volume.history({ limit: 5 });
  const at: Date | undefined = history[0]?.at;
  const changes: VolumeChange[] = await volume.diff(commitId, commitId);
  const change: 'added' | 'modified' | 'deleted' | undefined = changes[0]?.change;
  const restored: string = await volume.restore(commitId);
  const branch: Volume = await volume.branch('other', { at: commitId });
  await using brief: Volume & AsyncDisposable = await Volume.ephemeral({ client, prefix: 'brief' });
  const mounted: Volume = volume.mount('/data', { readOnly: true, mode: 'shared', autoCommit: false });
  const path: string | null = Volume.fromName('data', { mountPath: '/data' }).mountPath;
  const here: Volume = await Volume.fromMount('/data');
  const published: string = await here.commit({ message: 'm', onConflict: 'fail' });
  const seen: string = await here.reload({ force: true });
  new App('a').sandbox({ volumes: { '/data': volume } });
  new App('a').cls({ volumes: [mounted] });
  // @ts-expect-error it has two modes
  volume.mountedAt('/data', { mode: 'other' });
  // @ts-expect-error a path is no volume
  new App('a').cls({ volumes: ['/data'] });
  const cloud: Volume = Volume.cloud('data', { mountPath: '/data' });
  const backend: 'cloud_bucket' | 'vast_local' = cloud.backend;
  Volume.fromName('data', { backend: 'vast_local', sizeGb: 1, mountPathDefault: '/data', geolocation: ['US', 'CA'] });
  Volume.create('data', { backend: 'vast_local', sizeGb: 1, geolocation: 'US' });
  Volume.vastLocal('data', { sizeGb: 1, mountPath: '/data' });
  // @ts-expect-error it takes room of a host
  Volume.vastLocal('data', {});
  const set: Volume = await Volume.fromArchive('set', stream, { client });
  for (const source of ['set.tar.gz', bytes]) await Volume.fromArchive('set', source);
  // @ts-expect-error there are two
  Volume.create('data', { backend: 'other' });
  await using placed: Volume & AsyncDisposable = await Volume.ephemeral({ mountPath: '/scratch' });
  // @ts-expect-error volumes are made by fromName, create and get
  new Volume('data');
  void [
    mount,
    backend,
    set,
    placed,
    path,
    published,
    seen,
    brief,
    made.name,
    got,
    all,
    deleted,
    pieces,
    stats,
    at,
    change,
    restored,
    branch,
  ];
}
