import { readFile } from 'node:fs/promises';
import { HoldfastError } from '../../common/errors.js';
import type { TlsTexts } from '../../wire/grpc-transport.js';
import type { TlsFiles } from './services.js';

/** @throws InvalidArgument where a file cannot be read */
export async function readTls(files: TlsFiles | undefined): Promise<TlsTexts | undefined> {
  if (files === undefined) return undefined;
  const [cert, key, ca] = await Promise.all([read(files.cert), read(files.key), files.ca && read(files.ca)]);
  return { cert, key, ...(ca ? { ca } : {}) };
}

async function read(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((cause: Error) => {
    throw new HoldfastError('InvalidArgument', `cannot read the PEM file ${path}: ${cause.message}`, { cause });
  });
}
