import { App, Volume } from 'holdfast';

export const app = new App('sandbox-demo', { entry: import.meta.url });

// Its sessions see the programs of their worker's host, which they cannot change, and have a disk of their own; what they write
// below /workspace outlives them.
const volumes = { '/workspace': Volume.fromName('sandbox-workspace', { createIfMissing: true }) };
export const shell = app.sandbox({ name: 'shell', memoryMb: 256, diskGb: 1, volumes });
