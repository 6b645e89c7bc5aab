import { isUtf8 } from 'node:buffer';
import { wrongName } from '../../../common/volumes/node-codec.js';
import { refuse } from '../refused.js';

/** The name of an entry, as the kernel has it. @throws Refused EILSEQ, ENAMETOOLONG, EINVAL */
export function nameOf(text: Buffer | undefined): string {
  if (text === undefined || !isUtf8(text)) refuse('EILSEQ');
  const name = text.toString('utf8');
  if (wrongName(name) === null) return name;
  return refuse(text.length > 255 ? 'ENAMETOOLONG' : 'EINVAL');
}
