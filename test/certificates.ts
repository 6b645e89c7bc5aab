import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of PEM files. */
export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** An authority, and a certificate of it for this machine; made with openssl, as an operator would. */
export function makeCertificates(folder: string): Certificates {
  const openssl = (line: string) => execFileSync('openssl', line.split(' '), { cwd: folder, stdio: 'pipe' });
  const fresh = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1';
  openssl(`req -x509 ${fresh} -keyout ca.key -out ca.pem -subj /CN=authority`);
  openssl(`req ${fresh} -keyout key.pem -out request.pem -subj /CN=localhost`);
  writeFileSync(join(folder, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1');
  openssl('x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile names -out cert.pem');
  return { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
}
