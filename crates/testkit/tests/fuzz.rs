//! Every fuzz target for a bounded number of inputs.

use testkit::fuzz;

#[test]
fn no_target_falls() {
    for target in fuzz::all_targets() {
        let inputs = if target.name.starts_with("store") { 300 } else { 20_000 };
        let report = fuzz::check(&target, 1, inputs);
        assert!(report.outcomes > 1, "{} only ever does one thing: {report:?}", target.name);
    }
}
