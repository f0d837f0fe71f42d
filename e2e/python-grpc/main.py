"""The 5.x gRPC client for Python, in cleartext as it is by default."""

import failing
import ordering
import plain
import refused
import restarting
import sharing
import timing
import transactions
import kit

kit.run({**plain.CASES, **failing.CASES, **sharing.CASES, **ordering.CASES, **timing.CASES,
         **transactions.CASES, **refused.CASES, **restarting.CASES})
