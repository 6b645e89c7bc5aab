import { App } from 'holdfast';

export const app = new App('live-files', { entry: import.meta.url });

export const shell = app.sandbox({ name: 'shell' });
