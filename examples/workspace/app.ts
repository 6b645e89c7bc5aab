import { readdir, writeFile } from 'node:fs/promises';
import { App, method, Volume } from 'holdfast';

export const app = new App('workspace-demo', { entry: import.meta.url });

// Shared when somebody commits and somebody else reloads, and not before.
const shared = Volume.fromName('shared-data', { createIfMissing: true }).mount('/mnt/shared', { autoCommit: false });
export const box = app.sandbox({ name: 'box', volumes: [shared] });

@app.cls({ volumes: [shared] })
export class Writer {
  /** Commits a file of its own, and tells what it sees then. */
  @method()
  async write(name: string, text: string): Promise<string[]> {
    const volume = await Volume.fromMount('/mnt/shared');
    await writeFile(`/mnt/shared/${name}`, text);
    await volume.commit();
    await volume.reload();
    return await readdir('/mnt/shared');
  }
}
