// Gets data out of a session, and into it, while it runs: by files that both see at once.
// Needs a cluster with the app: `npx tsx examples/run.ts live-files` brings one.
import { App, NetworkFileSystem } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('live-files');
await using nfs = await NetworkFileSystem.ephemeral();
await using session = await app.shell.create({ volumes: { '/mnt/nfs': nfs } });

const text = async (path: string): Promise<string> => {
  const pieces: Uint8Array[] = [];
  for await (const piece of nfs.readFile(path)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
};

await session.exec('echo foo > /mnt/nfs/a.txt', { shell: true });
console.log(`the session wrote: ${(await text('a.txt')).trim()}`);

// It waits for a file that comes from here.
const answer = session.exec('until [ -e /mnt/nfs/go ]; do sleep 0.05; done; cat /mnt/nfs/go', { shell: true });
await nfs.writeFile('go', 'go on');
console.log(`the session read: ${(await answer).stdout}`);
console.log(`both see: ${(await nfs.listdir()).map(({ path }) => path).join(', ')}`);
