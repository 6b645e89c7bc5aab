// Needs a cluster with the app: `npx tsx examples/run.ts coding-agent` brings one.
import { App } from 'holdfast';

const tests = `
import unittest
from slug import slug

class Slug(unittest.TestCase):
    def test_has_no_spaces(self):
        self.assertEqual(slug('a b'), 'a-b')

    def test_is_lower_case(self):
        self.assertEqual(slug('Hold Fast'), 'hold-fast')

    def test_leaves_out_punctuation(self):
        self.assertEqual(slug('Stop! Look, listen'), 'stop-look-listen')
`;

const app = await App.lookup<typeof import('./app.js')>('coding-agent');
const agent = await app.Agent.new();
for await (const step of agent.solve(tests)) console.log(step.trimEnd());
await agent.close();
