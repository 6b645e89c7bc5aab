/** Type tests of network file systems, in the compiler of this project and in TypeScript 5.9. Nothing here runs. */
import { App, type Bytes, type Client, type FileStat, NetworkFileSystem } from 'holdfast';

export async function networkFileSystems(client: Client, bytes: Bytes): Promise<void> {
  const nfs: NetworkFileSystem = NetworkFileSystem.fromName('shared', { client, createIfMissing: true });
  const mounted: NetworkFileSystem = nfs.mountedAt('/mnt/nfs');
  await using brief: NetworkFileSystem & AsyncDisposable = await NetworkFileSystem.ephemeral({ client });
  const pieces: AsyncIterable<Uint8Array> = nfs.readFile('a');
  for (const content of ['text', bytes, nfs.readFile('b')]) await nfs.writeFile('a', content);
  const stats: FileStat[] = await nfs.listdir('d');
  await nfs.listdir('d', { recursive: true });
  await nfs.removeFile('a');
  await nfs.removeFile('d', { recursive: true });
  const all: NetworkFileSystem[] = await NetworkFileSystem.list({ client });
  const { deleted }: { readonly deleted: boolean } = await nfs.delete();
  new App('a').sandbox({ volumes: { '/mnt/nfs': nfs } });
  new App('b').sandbox({ volumes: [mounted] });
  void [brief, pieces, stats, all, deleted];
}
