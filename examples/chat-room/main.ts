// Needs a cluster with the app: `npx tsx examples/run.ts chat-room` brings one.
import { App } from 'holdfast';

const app = await App.lookup<typeof import('./app.js')>('chat-room');
const room = await app.Room.named('lobby');

/** Prints what a person reads, and leaves at a goodbye; `joined` is called at the welcome. */
async function listen(name: string, joined: () => void): Promise<void> {
  for await (const { from, text } of room.listen(name)) {
    console.log(`${name} reads "${text}" from ${from}`);
    if (from === 'room') joined();
    if (text === 'goodbye') return;
  }
}

const people = ['Ada', 'Grace', 'Barbara'];
const listening: Promise<void>[] = [];
for (const name of people) await new Promise<void>((joined) => listening.push(listen(name, joined)));

console.log(`delivered to ${await room.say('Ada', 'hello')} people`);
await room.say('Grace', 'goodbye');
await Promise.all(listening);
await room.close();
