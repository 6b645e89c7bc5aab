import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { HoldfastError } from '../../common/errors.js';
import { isErrorCode } from '../../wire/error-codes.js';

/** Where containers that have volumes find it; it asks the file system, which needs no credentials. */
const tool = '/run/holdfast/bin/holdfast';
const longestAnswer = 65_536;

/** Commits, reloads or names the volume that is mounted at a path of this container. @throws what it was refused with */
export async function askMount(
  words: readonly [what: 'commit' | 'reload' | 'name', path: string, ...string[]],
): Promise<string> {
  const [what, path] = words;
  if (!existsSync(tool))
    throw new HoldfastError(
      'InvalidArgument',
      `${what} of ${path}: this is no container with volumes; name them in \`volumes\` of its class or sandbox`,
    );
  return await new Promise((resolve, reject) => {
    execFile(tool, ['volume', ...words], { maxBuffer: longestAnswer, env: {} }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout.trim());
      else reject(refusal(stderr.trim() || error.message));
    });
  });
}

/** `holdfast: Code: message`, as the tool has it of whoever refused. */
function refusal(said: string): HoldfastError {
  const [, code, message] = /^holdfast: (\w+): (.*)$/s.exec(said) ?? [];
  if (isErrorCode(code) && message !== undefined) return new HoldfastError(code, message);
  return new HoldfastError('InvalidArgument', said.replace(/^holdfast: /, ''));
}
