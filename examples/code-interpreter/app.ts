import { App } from 'holdfast';

export const app = new App('code-interpreter', { entry: import.meta.url });

// One run at a time. A session that nobody uses for ten minutes sleeps: its files are kept, its processes are not.
export const python = app.sandbox({
  name: 'python',
  memoryMb: 512,
  diskGb: 1,
  tasksPerContainer: 1,
  idleTimeoutMs: 600_000,
});
