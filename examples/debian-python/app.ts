import { App, Image, Volume } from 'holdfast';

export const app = new App('debian-python', { entry: import.meta.url });

// A Debian of its own with its Python, built at the first deploy and kept: sessions do not see what the host has.
export const shell = app.sandbox({
  name: 'shell',
  image: Image.debianSlim({ pythonVersion: '3.11' }),
  volumes: { '/workspace': Volume.fromName('sandbox-workspace', { createIfMissing: true }) },
});
