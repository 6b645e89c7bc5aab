// Needs a cluster with the app, mmdebstrap and a mirror of Debian: `npx tsx examples/run.ts debian-python` brings the first one.
import { App } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('debian-python');
const session = await app.shell.named('demo-session', { cwd: '/workspace', env: { PYTHONUNBUFFERED: 1 } });

const program = 'import sys; print("hello from sandbox, Python %d.%d" % sys.version_info[:2])';
console.log((await session.exec(['python3', '-c', program], { check: true })).stdout.trim());

await session.writeText('/workspace/notes.txt', 'hello\n', { makeParents: true });
console.log((await session.readText('/workspace/notes.txt')).trim());
await session.close();
