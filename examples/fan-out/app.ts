import { App } from 'holdfast';

export const app = new App('fan-out', { entry: import.meta.url });

export const mapper = app.sandbox({ name: 'mapper', memoryMb: 128, diskGb: 0.25 });
