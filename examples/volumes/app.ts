import { App, method, Secret, Volume } from 'holdfast';

export const app = new App('volume-demo', { entry: import.meta.url });

@app.cls({ secrets: [Secret.fromName('HF_TOKEN')] })
export class Whoami {
  @method()
  tell(): string {
    return process.env['HF_TOKEN'] === undefined ? 'no secret' : 'secret mounted';
  }
}

// In the object store: the same files wherever a session runs.
const shared = Volume.fromName('model-cache', { createIfMissing: true, mountPathDefault: '/cache' });
export const portable = app.sandbox({ name: 'portable', volumes: [shared] });

// On the disk of one host: the first session binds it, the next ones go there.
const fast = Volume.vastLocal('fast-cache', { sizeGb: 0.05 });
export const local = app.sandbox({ name: 'local', volumes: { '/cache': fast } });

export const shell = app.sandbox({ name: 'shell' });
