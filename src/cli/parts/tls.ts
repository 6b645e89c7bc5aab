import { readFile } from 'node:fs/promises';
import { HoldfastError } from '../../common/errors.js';
import type { TlsTexts } from '../../wire/grpc/grpc-transport.js';
import type { TlsFiles } from './services.js';

/** @throws InvalidArgument where a file cannot be read */
export async function readTls(files: Partial<TlsFiles> | undefined): Promise<TlsTexts | undefined> {
  if (files === undefined) return undefined;
  const [cert, key, ca] = await Promise.all([read(files.cert), read(files.key), read(files.ca)]);
  return { cert, key, ca };
}

async function read(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  return await readFile(path, 'utf8').catch((cause: Error) => {
    throw new HoldfastError('InvalidArgument', `cannot read the PEM file ${path}: ${cause.message}`, { cause });
  });
}
