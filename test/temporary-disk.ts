import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canIsolate } from './isolation-host.js';

/** Grows as it is written. */
const bytes = 34_359_738_368;

/**
 * In a container the temporary folder is often on overlayfs, which cannot hold layers of images (id-mapped mounts). Then the
 * tests get one on an ext4 of their own, in a file; it is gone at their end.
 */
export default function useTemporaryDisk(): (() => void) | undefined {
  const kind = execFileSync('stat', ['-f', '-c', '%T', tmpdir()], { encoding: 'utf8' }).trim();
  if (!canIsolate || kind !== 'overlayfs') return undefined;
  // Short: sockets lie below it, whose paths are bounded.
  const folder = mkdtempSync(join(tmpdir(), 'hf'));
  const image = `${folder}.image`;
  writeFileSync(image, '');
  truncateSync(image, bytes);
  execFileSync('/sbin/mkfs.ext4', ['-q', '-F', image]);
  execFileSync('mount', ['-o', 'loop,nodev', image, folder]);
  execFileSync('chmod', ['1777', folder]);
  process.env['TMPDIR'] = folder;
  return () => {
    execFileSync('umount', ['--lazy', folder]);
    rmSync(folder, { recursive: true });
    rmSync(image);
  };
}
