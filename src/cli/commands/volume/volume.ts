import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';
import { registerCollect } from './collect.js';
import { registerFiles } from './files.js';
import { registerGet } from './get.js';
import { registerHistory } from './history.js';
import { registerList } from './list.js';
import { registerNames } from './names.js';
import { registerPut } from './put.js';

const examples = `
Examples:
  holdfast volume create models --size-gb 50
  holdfast volume put weights/ models:v1       what is in weights, as v1
  holdfast volume ls models:v1
  holdfast volume history models
  holdfast volume restore models 01K6ZB3V9Y1M4T2C8R5D7F0GHJ`;

/** `holdfast volume …` */
export function registerVolume(program: Command, context: CommandContext): void {
  const command = program
    .command('volume')
    .description('files that outlive instances, with their history')
    .helpCommand(false)
    .addHelpText('after', examples);
  const register = [
    registerNames,
    registerList,
    registerPut,
    registerGet,
    registerFiles,
    registerHistory,
    registerCollect,
  ];
  for (const each of register) each(command, context);
}
