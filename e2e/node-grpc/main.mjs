// The 5.x gRPC client for Node, in cleartext as it is by default.
import * as kit from './kit.mjs';
import { failing } from './failing.mjs';
import { ordering } from './ordering.mjs';
import { plain } from './plain.mjs';
import { refused } from './refused.mjs';
import { restarting } from './restarting.mjs';
import { sharing } from './sharing.mjs';
import { timing } from './timing.mjs';
import { transactions } from './transactions.mjs';

await kit.run({ ...plain, ...failing, ...sharing, ...ordering, ...timing, ...transactions, ...refused, ...restarting });
