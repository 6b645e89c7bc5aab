/** Of a container's memory; the rest is for code, stacks and buffers. V8 takes it at its start and never again. */
const heapShare = 0.8;

/** Arguments of Node for a container that is made for so much memory. */
export function nodeArguments(memoryMb: number): readonly string[] {
  return ['--enable-source-maps', `--max-old-space-size=${Math.floor(memoryMb * heapShare)}`];
}
