import { App } from 'holdfast';

export const app = new App('sandbox-demo', { entry: import.meta.url });

// Its sessions see the programs of their worker's host, which they cannot change, and have a disk of their own.
export const shell = app.sandbox({ name: 'shell', memoryMb: 256, diskGb: 1 });
