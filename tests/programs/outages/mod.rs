//! Outages of all kinds with a real broker: when the host is told, when the device is back, and how many CONNECTs that
//! takes. `ENOS_WRITE_DOCS=1` writes the table to docs/outages.md.

#[path = "../../../benches/fleet/curve.rs"]
#[allow(dead_code, reason = "the bench prints more of it")]
mod curve;
#[path = "../../../benches/fleet/device.rs"]
mod device;

mod broker;
mod clock;
mod fleet;
mod hours;
mod names;
mod namespace;
mod network;
mod outage;
mod page;
mod rivals;

use std::io::Write;

use outage::Row;
use support::alone::alone;

/// In the order of the table.
const CASES: [fn() -> Result<Row, String>; 13] = [
    || Ok(broker::killed()),
    || Ok(broker::restarted()),
    || Ok(broker::hanging()),
    || Ok(broker::hanging_shortly()),
    || Ok(network::both_ways()),
    || Ok(network::to_device()),
    || Ok(network::keep_alive_missed()),
    namespace::cut_and_joined,
    || Ok(names::gone()),
    || Ok(names::moved()),
    || Ok(network::cut_again_and_again()),
    || Ok(rivals::logged_in_twice()),
    || Ok(clock::set_back_and_forth()),
];

#[test]
fn every_outage_is_told_and_survived_within_the_budget() {
    // It changes the clock and the name resolution of its process.
    alone(|| {
        if namespace::is_inside() {
            return namespace::run_inside();
        }
        let running = CASES.map(std::thread::spawn);
        let results = running.map(|case| case.join());
        let (mut rows, mut skipped) = (Vec::new(), 0);
        for result in results {
            match result.expect("each outage is survived") {
                Ok(row) => rows.push(row),
                Err(why) => {
                    skipped += 1;
                    // Bypasses the test harness, which captures the output of a passing test.
                    writeln!(std::io::stderr(), "\nskipped: {why}").unwrap();
                }
            }
        }
        let hours = [hours::refused(), hours::unanswered()];
        println!("{}\n{}", page::table(&rows), page::long_table(&hours));
        println!("{} outages, {skipped} skipped", rows.len() + hours.len());
        if std::env::var_os("ENOS_WRITE_DOCS").is_some() {
            page::write(&rows, &hours);
        }
    });
}
