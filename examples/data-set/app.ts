import { App } from 'holdfast';

export const app = new App('data-set-demo', { entry: import.meta.url });

// What each session works on comes with the session.
export const worker = app.sandbox({ name: 'worker', memoryMb: 256 });
